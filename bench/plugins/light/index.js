/** As little as a plugin can be. */
export default { start() {} }
