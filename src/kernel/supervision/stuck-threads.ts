/** Threads that were to end and are held by native code. Node waits for them at the end of the process, so they are counted. */
import type { PluginInstance } from './plugin-instance.js'

export class StuckThreads {
  #count = 0

  get count(): number {
    return this.#count
  }

  /** `gone`: one may end after all, and counts no longer then. */
  add(instance: PluginInstance, gone: Promise<unknown>): void {
    instance.stuckThreads++
    this.#count++
    void gone.then(() => {
      instance.stuckThreads--
      this.#count--
    })
  }
}
