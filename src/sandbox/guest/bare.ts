/**
 * What Node, or a promise, is handed with no prototype: the plugin may put on `Object.prototype` what would be read of it there, as `then`
 * is.
 */

/** The same members, and nothing beside them. */
export const bare = <T extends object>(members: T): T => ({ __proto__: null, ...members })
