/** The lines to services that one plugin has or waits for, by service and range: so many altogether, and so many to each service. */
import type { UseRequest } from '../../sandbox/protocol.js'
import type { Quota } from '../limits/quota.js'

export class HeldLines {
  readonly #quota: Quota
  /** How often each range of a service is held: by a line, and by each use that waits for one. */
  readonly #ranges = new Map<string, Map<string, number>>()
  #size = 0

  constructor(quota: Quota) {
    this.#quota = quota
  }

  /** Throws PLUGIN_LIMIT when it is one too many. */
  take({ name, range }: UseRequest): void {
    this.#quota.assertService(
      this.#size,
      `use the service '${name}'`,
      'has lines to services,',
      'Use fewer of them, or fewer ranges of one',
    )
    const ranges = this.#ranges.get(name) ?? new Map<string, number>()
    if (!ranges.has(range))
      this.#quota.assertOfOne(ranges.size, `use the service '${name}'`, 'uses it in ranges,', 'Use it in fewer ranges')
    ranges.set(range, (ranges.get(range) ?? 0) + 1)
    this.#ranges.set(name, ranges)
    this.#size++
  }

  giveBack({ name, range }: UseRequest): void {
    const ranges = this.#ranges.get(name)
    const held = ranges?.get(range) ?? 0
    if (ranges === undefined || held === 0) return
    this.#size--
    if (held > 1) ranges.set(range, held - 1)
    else if (ranges.size > 1) ranges.delete(range)
    else this.#ranges.delete(name)
  }
}
