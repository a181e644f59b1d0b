/** Where the kernel is in its own life, and what may be asked of it there. */
import { PlugbayError } from '../../errors.js'
import type { KernelEvents, KernelState } from './kernel-events.js'

export class KernelLifecycle {
  readonly #moved: (transition: KernelEvents['kernel:state']) => void
  #state: KernelState = 'created'

  constructor(moved: (transition: KernelEvents['kernel:state']) => void) {
    this.#moved = moved
  }

  get state(): KernelState {
    return this.#state
  }

  move(to: KernelState): void {
    const from = this.#state
    this.#state = to
    this.#moved({ from, to })
  }

  /** Throws KERNEL_STATE once it was started. */
  assertCreated(): void {
    if (this.#state !== 'created')
      throw new PlugbayError('KERNEL_STATE', `The kernel is ${this.#state}: it is started once. Make a new one with createKernel().`)
  }

  /** Throws KERNEL_STATE when it was stopped in the midst of its start. */
  assertStarting(): void {
    if (this.#state !== 'starting') throw new PlugbayError('KERNEL_STATE', 'The kernel was stopped while it was starting.')
  }

  /** Throws KERNEL_STATE before it was started: it knows no plugin then. */
  assertStarted(): void {
    if (this.#state === 'created')
      throw new PlugbayError('KERNEL_STATE', 'The kernel has not been started: it finds its plugins then. Await kernel.start() first.')
  }

  /** Throws KERNEL_STATE where no plugin can be changed: `act` names what was to be done to one. */
  assertRunning(act: string): void {
    if (this.#state === 'running' || this.#state === 'starting') return
    const why = this.#state === 'created' ? 'has not been started' : `is ${this.#state}`
    const mend = this.#state === 'created' ? 'yet. Await kernel.start() first' : 'any more. Make a new one with createKernel()'
    throw new PlugbayError('KERNEL_STATE', `The kernel ${why}: it cannot ${act} a plugin ${mend}.`)
  }
}
