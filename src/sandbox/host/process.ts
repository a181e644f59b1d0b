/** A plugin's place in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { constants } from 'node:os'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fromWire, PlugbayError, type WireError } from '../../errors.js'
import type { Channel } from '../channel.js'
import { FramedChannel } from '../framed-channel.js'
import { type Exit, PATIENCE, type PluginHost, type Tier } from '../plugin-host.js'
import { commandFor, type Place, processTier } from './confinement.js'
import { watchMemory } from './memory-watch.js'
import { capped } from './output-cap.js'

/** How far the memory of the process may be above the limit of its heap: a part of the limit, and what Node itself takes (MB). */
const LEEWAY = 1.25
const NODE_ITSELF = 64
/** Milliseconds that the streams of an ended process may stay open: one it has started may hold them. */
const AFTERMATH = 250

export class ProcessHost implements PluginHost {
  readonly kind = 'process'
  readonly tier: Tier
  readonly exited: Promise<Exit>
  onOutput: PluginHost['onOutput']
  readonly #place: Place
  #settle: (exit: Exit) => void = () => {}
  #child: ChildProcess | undefined
  #killed: string | undefined
  /** What the guest told of the error that ended it, or the limit that it went past. */
  #error: unknown

  private constructor(place: Place, tier: Tier) {
    this.#place = place
    this.tier = tier
    this.exited = new Promise((resolve) => (this.#settle = resolve))
  }

  /** Not started: that is when the process is made. */
  static async make(place: Place): Promise<ProcessHost> {
    return new ProcessHost(place, place.inspected ? 'process' : await processTier(place.needsHooks))
  }

  async start(signal: AbortSignal): Promise<Channel> {
    signal.throwIfAborted()
    await mkdir(this.#place.dataDir, { recursive: true })
    const { file, args, env } = await commandFor(this.#place)
    signal.throwIfAborted()
    if (this.#killed !== undefined) throw new PlugbayError('PLUGIN_STOPPED', 'The process was ended before it started.')
    const child = spawn(file, args, {
      cwd: this.#place.root,
      env,
      // The fourth is a socket that both ends talk on. Never 'ipc': what a plugin writes there can end this process.
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // A group of its own, so that what the plugin starts can be ended with it.
      detached: true,
    })
    this.#child = child
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = child[name]
      const hand = capped((text) => this.onOutput?.(name, text))
      stream
        ?.setEncoding('utf8')
        .on('data', hand)
        .on('error', () => {})
    }
    const channel = new FramedChannel(child.stdio[3] as Duplex, 'kernel')
    // An error of the plugin's own, whatever it says it is.
    channel.besides((told) => {
      Reflect.deleteProperty(told as WireError, 'branded')
      this.#error ??= fromWire(told as WireError)
    })
    const unwatch = this.#watchMemory(child)
    child.once('error', (error) => {
      this.#error ??= error
      if (child.pid === undefined) this.#ended(null)
    })
    child.once('close', (code) => this.#ended(code))
    child.once('exit', (code) => {
      unwatch()
      // What it has started ends with it; whoever left the group may hold the streams open.
      this.#signal()
      const late = setTimeout(() => {
        for (const stream of child.stdio) stream?.destroy()
        this.#ended(code)
      }, AFTERMATH)
      child.once('close', () => clearTimeout(late))
    })
    return channel
  }

  #watchMemory({ pid }: ChildProcess): () => void {
    const { name, memory } = this.#place
    if (pid === undefined) return () => {}
    return watchMemory(pid, memory * LEEWAY + NODE_ITSELF, (observed) => {
      this.#error = new PlugbayError(
        'PLUGIN_LIMIT',
        `Plugin '${name}' took ${observed} MB of memory; its limit is ${memory} MB (limits.memory), a quarter above it, and ${NODE_ITSELF} MB for Node itself. ` +
          'Look for what it keeps and never lets go, or raise the limit.',
        { plugin: name, details: { limit: 'memory', allowed: memory, observed } },
      )
      this.#signal()
    })
  }

  /** Ends the process and its whole group. */
  #signal(): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // All of it is gone.
    }
  }

  #ended(code: number | null): void {
    const exit: Exit = { expected: this.#killed !== undefined }
    if (code !== null) exit.code = code
    if (this.#error !== undefined) exit.error = this.#error
    const signal = this.#child?.signalCode ?? signalOf(code)
    if (signal) exit.signal = signal
    if (this.#killed !== undefined) exit.reason = this.#killed
    this.#settle(exit)
  }

  async kill(reason: string): Promise<void> {
    this.#killed ??= reason
    if (this.#child === undefined) this.#ended(null)
    else if (this.#child.exitCode === null && this.#child.signalCode === null) this.#signal()
    const patience = new AbortController()
    await Promise.race([this.exited, delay(PATIENCE, undefined, { ref: false, signal: patience.signal }).catch(() => {})])
    patience.abort()
  }
}

/** A sandbox reports the end of the process in it as a shell does: by a code beyond 128. */
const signalOf = (code: number | null): string | undefined =>
  Object.entries(constants.signals).find(([, number]) => code === 128 + number)?.[0]
