// What this browser keeps: drafts, unacknowledged messages, the theme. All of it works without storage, only shorter.

const memory = new Map();

export function read(key, fallback = null) {
  try {
    const value = localStorage.getItem(key);
    return value === null ? fallback : JSON.parse(value);
  } catch {
    return memory.has(key) ? memory.get(key) : fallback;
  }
}

export function write(key, value) {
  const empty = value === null || value === "" || (Array.isArray(value) && value.length === 0);
  try {
    if (empty) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is off or full.
  }
  if (empty) memory.delete(key);
  else memory.set(key, value);
}
