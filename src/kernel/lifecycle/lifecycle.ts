/** The states of a plugin and the moves between them. */
import { PlugbayError } from '../../errors.js'

export type PluginState =
  | 'discovered'
  | 'resolved'
  | 'initializing'
  | 'starting'
  | 'running'
  | 'stopping'
  | 'stopped'
  | 'failed'
  | 'disabled'

/** From each state, the states that may follow. */
export const TRANSITIONS: Readonly<Record<PluginState, readonly PluginState[]>> = {
  discovered: ['resolved', 'failed', 'disabled'],
  resolved: ['initializing', 'failed', 'disabled', 'stopped'],
  initializing: ['starting', 'failed', 'stopping'],
  starting: ['running', 'failed', 'stopping'],
  running: ['stopping', 'failed'],
  stopping: ['stopped', 'failed'],
  stopped: ['resolved', 'disabled', 'failed'],
  failed: ['resolved', 'disabled', 'stopped'],
  disabled: ['discovered', 'resolved', 'stopped'],
}

export interface Transition {
  from: PluginState
  to: PluginState
  reason: string
}

/** A state machine whose every move is told to its listener. */
export class Lifecycle {
  readonly #plugin: string
  readonly #moved: (transition: Transition) => void
  #state: PluginState

  constructor(plugin: string, initial: PluginState, moved: (transition: Transition) => void) {
    this.#plugin = plugin
    this.#state = initial
    this.#moved = moved
  }

  get state(): PluginState {
    return this.#state
  }

  /** Moves to `to`. Throws PLUGIN_STATE for a move the table does not have. */
  move(to: PluginState, reason: string): void {
    const from = this.#state
    if (!TRANSITIONS[from].includes(to)) {
      throw new PlugbayError(
        'PLUGIN_STATE',
        `Plugin '${this.#plugin}' is ${from}: it cannot become ${to}. From there it can become ${TRANSITIONS[from].join(', ')}.`,
        {
          plugin: this.#plugin,
          details: { from, to },
        },
      )
    }
    this.#state = to
    this.#moved({ from, to, reason })
  }

  /** The same, where a move that is not possible means that there is nothing to do. */
  moveIfPossible(to: PluginState, reason: string): void {
    if (TRANSITIONS[this.#state].includes(to)) this.move(to, reason)
  }
}
