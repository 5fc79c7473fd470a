// Where the site is: all of a host, or a folder of it ("/gantry/"). The scripts themselves come from there.

export const ROOT = new URL("../../", import.meta.url).pathname;

/** The address of a path of the site, which begins with "/". */
export const address = (path) => ROOT + path.slice(1);
