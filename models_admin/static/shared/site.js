// @ts-check
// Where the site is: all of a host, or a folder of it ("/gantry/"). The scripts themselves come from there.

const ROOT = new URL("../../", import.meta.url).pathname;

/**
 * The address of a path of the site, which begins with "/".
 * @param {string} path
 */
export const address = (path) => ROOT + path.slice(1);
