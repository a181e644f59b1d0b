/** A function of a plugin that nobody calls, and that is a slip away from one that somebody would. */

/** Whether one letter makes the difference, left out, too many or another one, or two that changed places; capitals make none. */
const isSlip = (name: string, meant: string): boolean => {
  const [one, other] = [name.toLowerCase(), meant.toLowerCase()]
  let head = 0
  while (head < one.length && one[head] === other[head]) head++
  const rest = Math.min(one.length, other.length) - head
  let tail = 0
  while (tail < rest && one.at(-1 - tail) === other.at(-1 - tail)) tail++
  const [left, right] = [one.slice(head, one.length - tail), other.slice(head, other.length - tail)]
  return Math.max(left.length, right.length) <= 1 || (left.length === 2 && left[0] === right[1] && left[1] === right[0])
}

/** A sentence for each, of the plugin's functions and of the names that it has none for. */
export const misspeltHooks = (plugin: string, functions: readonly string[], missing: readonly string[]): string[] =>
  functions.flatMap((name) => {
    const meant = missing.find((hook) => isSlip(name, hook))
    return meant === undefined ? [] : [`Plugin '${plugin}' has a function '${name}', which nobody calls. Did you mean '${meant}'?`]
  })
