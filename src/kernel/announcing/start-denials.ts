/**
 * What plugins were denied while they start, until it is known what came of that: where a start fails over a denial, the failure says it
 * all.
 */
import { PlugbayError } from '../../errors.js'

/** No deeper: an error may have itself as its cause. */
const MAX_DEPTH = 8

export class StartDenials {
  /** By plugin and generation. */
  readonly #kept = new Map<string, PlugbayError[]>()

  began(start: string): void {
    this.#kept.set(start, [])
  }

  /** True: it is kept, because that start is under way. */
  keep(start: string, denial: PlugbayError): boolean {
    const kept = this.#kept.get(start)
    kept?.push(denial)
    return kept !== undefined
  }

  /** What is left to say now that the start is over; with the error where it failed. */
  ended(start: string, failure?: Error): PlugbayError[] {
    const kept = this.#kept.get(start) ?? []
    this.#kept.delete(start)
    return failure === undefined ? kept : kept.filter((denial) => !says(failure, denial))
  }
}

/** Whether a failure over the same denial names it in full: one that was wrapped in other words does not. */
const says = ({ message, cause }: Error, denial: PlugbayError): boolean => {
  const { resource, action } = denial.details ?? {}
  for (let depth = 0, each = cause; depth < MAX_DEPTH && each instanceof Error; depth++, each = each.cause) {
    if (!PlugbayError.is(each) || each.code !== 'PERMISSION_DENIED') continue
    if (each.details?.['resource'] === resource && each.details?.['action'] === action && message.includes(each.message)) return true
  }
  return false
}
