/** Who owns what: a labelled tree of things to undo, undone in reverse, with an abort signal. */
import { Pace } from './pace.js'

export type Undo = () => unknown

interface Entry {
  label: string
  undo: Undo
}

/** One thing that could not be undone when its scope closed. */
export interface Leftover {
  label: string
  error: unknown
}

/** Reports made by a scope, so that an undo which happens to return some other array is not read as one. */
const reports = new WeakSet<object>()

/**
 * Owns whatever was acquired through it. `close()` aborts the signal, then runs every undo in reverse order of
 * acquisition, waiting for each; it never throws, and says what could not be undone. Something added to a scope that is
 * closing or closed is undone at once, so nothing slips in during or after the end.
 *
 * After cordis' effect ownership and TC39's AsyncDisposableStack, which Node 20 lacks.
 */
export class Scope implements AsyncDisposable {
  readonly label: string
  readonly #entries = new Set<Entry>()
  readonly #abort = new AbortController()
  #closed = false
  #closing: Promise<Leftover[]> | undefined
  #forget: () => void = () => {}

  constructor(label: string) {
    this.label = label
  }

  /** Aborted when the scope starts to close; its reason says which scope. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Labels of all that is still held, in order of acquisition. */
  get held(): string[] {
    return Array.from(this.#entries, (entry) => entry.label)
  }

  /**
   * Takes ownership of an act by its undo. Returns a function that undoes it early, once; the scope forgets it then.
   * On a closed scope the undo runs at once.
   */
  own(label: string, undo: Undo): () => unknown {
    const entry: Entry = { label, undo }
    if (this.#closed) return this.#undoLate(entry)
    this.#entries.add(entry)
    return () => (this.#entries.delete(entry) ? entry.undo() : undefined)
  }

  /** A child scope, closed with this one (or earlier by itself). */
  child(label: string): Scope {
    const child = new Scope(label)
    const entry: Entry = { label, undo: () => child.close() }
    this.#entries.add(entry)
    child.#forget = () => this.#entries.delete(entry)
    if (this.#closed) void child.close()
    return child
  }

  #undoLate(entry: Entry): () => undefined {
    // A rejection here has no caller left to tell; the act itself was already refused or is being undone.
    void Promise.resolve()
      .then(entry.undo)
      .catch(() => {})
    return () => undefined
  }

  /** Undoes all, last first. Idempotent: every caller gets the same report of what could not be undone. */
  close(reason?: unknown): Promise<Leftover[]> {
    // Set before anything runs: a listener of the signal that closes again must get this report, not start a second run.
    if (this.#closing) return this.#closing
    let settle: (report: Promise<Leftover[]>) => void = () => {}
    this.#closing = new Promise((resolve) => {
      settle = resolve
    })
    settle(this.#run(reason))
    return this.#closing
  }

  async #run(reason: unknown): Promise<Leftover[]> {
    this.#closed = true
    this.#abort.abort(reason ?? new DOMException(`${this.label} is closed`, 'AbortError'))
    const leftovers: Leftover[] = []
    reports.add(leftovers)
    const pace = new Pace()
    for (const entry of [...this.#entries].reverse()) {
      if (pace.due) await pace.rest()
      if (!this.#entries.delete(entry)) continue
      try {
        const result: unknown = await entry.undo()
        if (typeof result === 'object' && result !== null && reports.has(result)) leftovers.push(...(result as Leftover[]))
      } catch (error) {
        leftovers.push({ label: `${this.label}/${entry.label}`, error })
      }
    }
    this.#forget()
    return leftovers
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
