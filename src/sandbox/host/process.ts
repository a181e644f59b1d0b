/** A plugin's place in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { constants } from 'node:os'
import type { Duplex, Readable } from 'node:stream'
import { PlugbayError } from '../../errors.js'
import { fromWire } from '../../wire-error.js'
import type { Channel } from '../channel.js'
import { FramedChannel } from '../framed-channel.js'
import type { Breach, Exit, PlaceLimits, PluginHost, Tier } from '../plugin-host.js'
import type { Asked, Leaving, Uncaught, Weighed } from '../protocol.js'
import { watchdog } from '../watch/watchdog.js'
import { WatchedProcess } from '../watch/watched-process.js'
import { commandFor, processTier } from './confinement.js'
import { type Confiners, confiners } from './confiners.js'
import { guard } from './guardian.js'
import { readPaced } from './paced-output.js'
import { outlasts } from './patience.js'
import type { Place } from './place.js'

/**
 * Milliseconds that one that says it exits has to do so: Node waits for its own threads then, and one may wait for a file that never comes.
 */
const LEAVE = 1_000
/** The code with which Node ends a process whose own listener for uncaught errors throws: it gets no more say. */
const LISTENER_THREW = 7
/** Milliseconds that the streams of an ended process may stay open: one it has started may hold them. */
const AFTERMATH = 250

export class ProcessHost implements PluginHost {
  readonly kind = 'process'
  readonly tier: Tier
  /** What a process takes Linux alone tells; elsewhere V8 ends it at its heap's limit. */
  readonly holds: PluginHost['holds'] = process.platform === 'linux' ? ['memory', 'cpu', 'hang'] : ['hang']
  /** A sandbox reports the end of the process in it after that. */
  readonly lag = 2_000
  readonly exited: Promise<Exit>
  onOutput: PluginHost['onOutput']
  readonly #place: Place
  readonly #confiners: Confiners
  #settle: (exit: Exit) => void = () => {}
  #child: ChildProcess | undefined
  #killed: string | undefined
  /** What the guest told of the error that ended it, … */
  #error: unknown
  /** … of the last that it listened for itself, … */
  #heard: unknown
  /** … and the code with which it said to exit. */
  #exits: number | undefined
  #limits: { limits: PlaceLimits; breached: (breach: Breach) => void } | undefined
  #unwatch: () => void = () => {}

  private constructor(place: Place, found: Confiners) {
    this.#place = place
    this.#confiners = found
    this.tier = processTier(place, found)
    this.exited = new Promise((resolve) => (this.#settle = resolve))
  }

  /** Not started: that is when the process is made. */
  static async make(place: Place): Promise<ProcessHost> {
    return new ProcessHost(place, await confiners())
  }

  async start(signal: AbortSignal): Promise<Channel> {
    signal.throwIfAborted()
    await mkdir(this.#place.dataDir, { recursive: true })
    const { file, args, env, tied } = commandFor(this.#place, this.#confiners)
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
    child.once('error', (error) => {
      this.#error ??= error
      if (child.pid === undefined) this.#ended(null)
    })
    // Node tells later why there is none.
    if (child.pid === undefined) throw (await once(child, 'error'))[0]
    if (!tied) guard(child)
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = child[name] as Readable
      stream.on('error', () => {})
      readPaced(stream, (text) => this.onOutput?.(name, text))
    }
    const channel = new FramedChannel(child.stdio[3] as Duplex, 'kernel')
    const watched = this.#look(child, channel)
    channel.besides((told) => {
      if (typeof told === 'number') {
        watched?.beat(told)
        return
      }
      const { exits, holds } = told as Partial<Leaving & Weighed>
      if (holds !== undefined) {
        watched?.weighed(holds)
        return
      }
      if (typeof exits === 'number') {
        watched?.leaves()
        return this.#leaves(child, exits)
      }
      const { error, heard } = told as Uncaught
      // An error of the plugin's own, whatever it says it is.
      Reflect.deleteProperty(error, 'branded')
      if (heard) this.#heard = fromWire(error)
      else this.#error ??= fromWire(error)
    })
    child.once('close', (code) => this.#ended(code))
    child.once('exit', (code) => {
      this.#unwatch()
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

  watch(limits: PlaceLimits, breached: (breach: Breach) => void): void {
    this.#limits = { limits, breached }
  }

  /** From now on it is watched, if it is to be. */
  #look({ pid }: ChildProcess, channel: FramedChannel): WatchedProcess | undefined {
    if (pid === undefined || this.#limits === undefined) return undefined
    const { limits, breached } = this.#limits
    const subject = {
      pid,
      get unfinished() {
        return channel.unfinished
      },
      get unread() {
        return channel.unread
      },
      get sent() {
        return channel.sent
      },
      ask: (asked: Asked) => channel.tell(asked),
    }
    let watched: WatchedProcess | undefined
    this.#unwatch = watchdog.watch((at) => (watched = new WatchedProcess(subject, limits, breached, at)))
    return watched
  }

  /** It has a while to do so. */
  #leaves(child: ChildProcess, code: number): void {
    if (this.#exits !== undefined) return
    this.#exits = code
    const late = setTimeout(() => this.#signal(), LEAVE).unref()
    child.once('exit', () => clearTimeout(late))
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
    else if (code === LISTENER_THREW && this.#exits === undefined && this.#heard !== undefined) exit.heard = this.#heard
    const signal = this.#child?.signalCode ?? signalOf(code)
    if (signal && this.#exits !== undefined) exit.code = this.#exits
    else if (signal) exit.signal = signal
    if (this.#killed !== undefined) exit.reason = this.#killed
    this.#settle(exit)
  }

  async kill(reason: string): Promise<void> {
    this.#killed ??= reason
    this.#unwatch()
    if (this.#child === undefined) this.#ended(null)
    else if (this.#child.exitCode === null && this.#child.signalCode === null) this.#signal()
    await outlasts(this.exited)
  }
}

/** A sandbox reports the end of the process in it as a shell does: by a code beyond 128. */
const signalOf = (code: number | null): string | undefined =>
  Object.entries(constants.signals).find(([, number]) => code === 128 + number)?.[0]
