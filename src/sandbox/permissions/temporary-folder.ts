/** What is said to have been done with a folder, while permissions are learnt, when it was made with a name that nobody chose. */
export const TEMPORARY = 'mkdtemp'
