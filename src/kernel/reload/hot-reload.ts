/** Turns changes of files into changes of what runs: replaced, loaded, unloaded, configured anew, in the order of the dependencies. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ServiceRegistry } from '../../bus/service-registry.js'
import { didYouMean } from '../../nearest.js'
import { isOwn, reasonOf } from '../../wire-error.js'
import { Attempt } from '../lifecycle/attempt.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { type ModuleGraph, moduleGraph, Sources } from '../modules/module-graph.js'
import { type PackageScope, packageScope } from '../modules/package-scope.js'
import type { Logger } from '../options/options.js'
import type { Waiting } from '../plugins/joint-changes.js'
import type { PluginInstance } from '../supervision/plugin-instance.js'
import { KeptModules } from './kept-modules.js'
import { outsideOf } from './kernel-folders.js'
import { RefusedChanges } from './refused-changes.js'
import { Watcher } from './watcher.js'

/** It was stopped while its change came about, or all was: that is no fault of the change. */
const isStopped = (error: unknown): boolean => isOwn(error) && (error.code === 'PLUGIN_STOPPED' || error.code === 'KERNEL_STATE')

export interface HotReloadOptions {
  /** Milliseconds a file written in place must stay the same. */
  settle: number
  places: readonly string[]
  /** Paths the discovery came upon, usable or not: anything else in the places is new. */
  known: readonly string[]
  /** Folders whose changes mean nothing, whatever a plugin has of them. */
  ignore: readonly string[]
  configDir: string | undefined
  instances: ReadonlyMap<string, PluginInstance>
  registry: ServiceRegistry
  log: Logger
  /** These plugins as they are to be changed one after the other. */
  inOrder(names: readonly string[]): readonly string[]
  /** Whether the others allow what its files say, also as `waiting` ones would be. */
  isAllowed(instance: PluginInstance, waiting: readonly string[]): boolean
  /** Whether it runs in the kernel's own thread. */
  isInline(instance: PluginInstance): boolean
  changed(instance: PluginInstance, waiting: Waiting, attempt: Attempt): Promise<unknown>
  configured(instance: PluginInstance): Promise<unknown>
  /** Whether the plugin lies where it lay. */
  isThere(instance: PluginInstance): boolean
  /** Whether what lies where it was read is what was read. */
  stillSays(source: PluginSource): boolean
  /** Where nothing is any more of plugins of which the one at `path` may be what was there, under another name. */
  formerPlaces(path: string): readonly string[]
  appeared(path: string, attempt: Attempt): Promise<unknown>
  vanished(name: string): Promise<unknown>
  /** What was saved of it is not to be had, for that reason. */
  refused(instance: PluginInstance, error: Error): void
  fault(name: string, error: Error): void
}

export class HotReload {
  readonly #options: HotReloadOptions
  readonly #watcher: Watcher
  readonly #refused: RefusedChanges
  readonly #graphs = new Map<string, ModuleGraph>()
  readonly #kept = new KeptModules()
  /** How the modules of each plugin are read, as it was known last; what it is made of is more than that. */
  readonly #scopes = new Map<string, { scope: PackageScope; now: () => Promise<PackageScope> }>()
  /** What was held against the files, once those were watched. */
  readonly #compared = new WeakSet<PluginSource>()
  readonly #changed = new Set<string>()
  /** Those whose next change has to wait. */
  readonly #held = new Set<string>()
  /** Plugins that run on as they were: what was saved of them is not to be had. */
  readonly #stayed = new Set<string>()
  /** Plugins that are being unloaded as their files are gone, by where they lay. */
  readonly #leaving = new Map<string, Promise<void>>()
  #working: Promise<void> | undefined
  #closed = false

  constructor(options: HotReloadOptions) {
    this.#options = options
    this.#refused = new RefusedChanges(options, (name) => this.#note(name))
    this.#watcher = new Watcher({
      settle: options.settle,
      ignore: [...options.ignore],
      onChange: (name, paths) => this.#stirred(name, paths),
      onAppear: (path) => void this.#run(path, () => this.#came(path)),
      onVanish: (path) => this.#gone(path),
      onConfig: (name) => this.#reconfigure(name),
      onFault: (error) => options.log.error({ err: error }, `Watching failed: ${reasonOf(error)}`),
    })
  }

  async open(): Promise<void> {
    const { places, known, configDir, instances } = this.#options
    await Promise.all([...instances.values()].map(({ source }) => this.track(source)))
    await this.#watcher.watchPlaces(places, known)
    if (configDir !== undefined) await this.#watcher.watchConfig(configDir)
    await this.#watcher.ready()
  }

  /**
   * Watches what the plugin is made of, as it is now: later changes are held against this, so it is called before its code is loaded. After
   * that, `says` is how its modules were read then: it may be otherwise by now.
   */
  async track(source: PluginSource, says?: string): Promise<void> {
    const { name, root } = source
    const reads = outsideOf(this.#options.ignore, root)
    const sources = new Sources()
    const graphs: ModuleGraph[] = []
    for (const file of new Set([source.entry, ...Object.values(source.tasks).map((task) => task.file)]))
      graphs.push(await moduleGraph(file, root, { previous: this.#graphs.get(file), reads, sources }))
    const files = graphs.flatMap((graph) => {
      const [entry] = graph.files
      if (entry !== undefined) this.#graphs.set(entry, graph)
      return [...graph.files, ...graph.links, ...graph.unresolved]
    })
    const own = new Set([...files, ...source.tracked.filter(reads)])
    const folders = [...new Set(graphs.flatMap((graph) => graph.files.map((file) => dirname(file))))]
    const bare = [...new Set(graphs.flatMap((graph) => graph.bare))]
    const now = async (): Promise<PackageScope> => {
      const { files, says } = await packageScope(folders, bare, dirname(root))
      return { files: files.filter((file) => !own.has(file)), says }
    }
    const scope = await now()
    if (!this.#options.instances.has(name)) return
    this.#scopes.set(name, { scope: { ...scope, says: says ?? scope.says }, now })
    await this.#watcher.track(name, [...own, ...scope.files], source.readAt)
    if (this.#compared.has(source)) return
    this.#compared.add(source)
    // What came between the reading and the watching, such as the manifest of a slow copy, is no change to the watcher.
    if (!this.#options.stillSays(source)) this.#stale(name)
  }

  /** Its code was read since it was tracked: what was saved meanwhile is a change, though it be back to what it was. */
  loaded(name: string): void {
    void this.#watcher.taken(name)
  }

  /** Most changes of a package.json are of no concern to the modules in it. */
  #stirred(name: string, paths: readonly string[]): void {
    const instance = this.#options.instances.get(name)
    if (instance && this.#options.isInline(instance)) this.#kept.saved(paths, this.#graphs.get(instance.source.entry))
    const { scope } = this.#scopes.get(name) ?? {}
    if (scope && paths.every((path) => scope.files.includes(path))) void this.#run(name, () => this.#stirredAround(name))
    else this.#stale(name)
  }

  async #stirredAround(name: string): Promise<void> {
    const known = this.#scopes.get(name)
    if (known === undefined) return
    if ((await known.now()).says !== known.scope.says) return this.#stale(name)
    const source = this.#options.instances.get(name)?.source
    // Another may be the nearest now.
    if (source) await this.track(source)
  }

  /** What was read of its files is not what is there. */
  #stale(name: string): void {
    for (const attempt of this.#options.instances.get(name)?.openAttempts ?? []) {
      for (const other of this.#partOf(attempt)) this.#note(other)
      attempt.outdate()
    }
    this.#note(name)
  }

  /** Does what a newer save of the plugins that take part in it ends, or of that one: they are noted then. */
  async #attempt(act: (attempt: Attempt) => Promise<unknown>, plugin?: string): Promise<void> {
    const attempt: Attempt = new Attempt((began) =>
      this.stir(new Set([...this.#partOf(attempt), ...(plugin === undefined ? [] : [plugin])]), began),
    )
    try {
      await act(attempt)
    } catch (error) {
      if (!attempt.outdated) throw error
    }
  }

  /**
   * Looks at the files of these plugins: where any of them may be others than what was reported before, or may have been since then, all
   * are tried anew.
   */
  async stir(names: ReadonlySet<string>, since: number): Promise<boolean> {
    const stir = await Promise.all(Array.from(names, (name) => this.#watcher.stirs(name, since)))
    if (!stir.includes(true)) return false
    for (const name of names) this.#note(name)
    return true
  }

  #partOf(attempt: Attempt): string[] {
    return [...this.#options.instances.values()].flatMap((instance) => (instance.takesPart(attempt) ? instance.name : []))
  }

  untrack(name: string): void {
    this.#scopes.delete(name)
    this.#forget(name)
    this.#watcher.untrack(name)
  }

  /** What has its name lies elsewhere by now, and nothing may tell that but this: where it went there before, that was refused. */
  astray(name: string): void {
    this.#note(name)
  }

  /** What others stood in the way of may be possible now. */
  reconsider(): void {
    this.#refused.reconsider()
  }

  /**
   * A file that several plugins import changes them all, and so does a checkout of another branch: they are collected while they are being
   * saved, and judged together.
   */
  #note(name: string): void {
    this.#changed.add(name)
    this.#work()
  }

  get #due(): string[] {
    return [...this.#changed].filter((name) => !this.#held.has(name))
  }

  #work(): void {
    this.#working ??= Promise.resolve().then(async () => {
      while (this.#due.length > 0 && !this.#closed) {
        await this.#watcher.quiet()
        const due = this.#due
        for (const name of due) this.#changed.delete(name)
        const names = this.#options.inOrder(due)
        const waiting = new Set(names)
        for (const plugin of names)
          if (waiting.has(plugin) && !this.#closed) await this.#attempt((attempt) => this.#renew(plugin, waiting, attempt), plugin)
      }
      this.#working = undefined
    })
  }

  /** One that writes its own files as it runs is not to fill a processor by that. */
  #hold({ name, restarts }: PluginInstance): void {
    const wait = restarts.changed()
    if (wait === 0) return
    this.#held.add(name)
    setTimeout(() => {
      this.#held.delete(name)
      this.#work()
    }, wait).unref()
  }

  /** `waiting`: those that changed together and have not been carried out; it is one of them. */
  async #renew(name: string, waiting: Set<string>, attempt: Attempt): Promise<void> {
    const { instances, changed, refused, log, fault } = this.#options
    const instance = instances.get(name)
    if (instance === undefined) return
    this.#hold(instance)
    const { path } = instance.source
    // Where all of it is gone that is no change of its files, however long it takes to be certain of it.
    if (!existsSync(path)) await this.#judged([path])
    if (this.#closed || instances.get(name) !== instance || instance.source.path !== path) return void waiting.delete(name)
    const generation = instance.generation?.number
    const done = (plugin: string): void => {
      waiting.delete(plugin)
      this.#forget(plugin)
    }
    this.#forget(name)
    try {
      const others = [...waiting].filter((plugin) => plugin !== name)
      await changed(instance, { changed: others, refused: this.#refused.plugins, joined: done }, attempt)
      waiting.delete(name)
      this.#remarkOnKept(instance)
    } catch (error) {
      await attempt.judge()
      if (attempt.outdated) {
        // What was saved together is judged together, anew.
        for (const each of waiting) this.#changed.add(each)
        return waiting.clear()
      }
      if (isStopped(error)) return void waiting.delete(name)
      const stays = generation !== undefined && instance.generation?.number === generation
      const then = stays ? this.#refused.add(name, error) : undefined
      if (then === undefined) waiting.delete(name)
      if (stays) {
        this.#stayed.add(name)
        const told = `The change of '${name}' was not taken over: generation ${generation} stays.`
        log.warn({ plugin: name, generation }, then === undefined ? told : `${told} ${then}`)
      }
      refused(instance, error as Error)
      fault(name, error as Error)
      this.#remarkOnKept(instance)
      // Others may have been watched as what they were to be together with it.
      const all = new Set([name, ...this.#refused.plugins].flatMap((plugin) => instances.get(plugin) ?? []))
      await Promise.all(Array.from(all, ({ source }) => this.track(source, this.#scopes.get(source.name)?.scope.says)))
    }
  }

  /** What was refused of it is no more what is tried next. */
  #forget(name: string): void {
    this.#refused.forget(name)
    this.#stayed.delete(name)
  }

  /** What was saved of an inline plugin may not be what runs. */
  #remarkOnKept(instance: PluginInstance): void {
    const { isInline, log } = this.#options
    const { name, source, newest } = instance
    const remark = isInline(instance) ? this.#kept.remarkOn(source, this.#graphs.get(source.entry)) : undefined
    if (remark !== undefined) log.warn({ plugin: name, generation: newest }, remark)
  }

  #reconfigure(name: string): void {
    const { instances, log } = this.#options
    const instance = instances.get(name)
    if (instance) void this.#run(name, () => this.#configure(instance))
    else
      log.warn(
        {},
        `configDir has a file of '${name}' that was saved, but there is no plugin of that name.${didYouMean(name, instances.keys())}`,
      )
  }

  async #configure(instance: PluginInstance): Promise<void> {
    const { configured, log } = this.#options
    const { generation, name } = instance
    try {
      await configured(instance)
    } catch (error) {
      if (generation?.alive && instance.generation === generation) {
        const { number } = generation
        log.warn(
          { plugin: name, generation: number },
          `The configuration was not taken over: generation ${number} goes on with the one it has.`,
        )
      }
      throw error
    }
    // Otherwise it was replaced, which is told.
    if (generation?.alive && instance.generation === generation)
      log.info({ plugin: name, generation: generation.number }, 'Took its new configuration as it runs.')
  }

  /** Where another may have become it, that one is unloaded first: it has what this one provides. */
  async #came(path: string): Promise<void> {
    const { formerPlaces, appeared } = this.#options
    await this.#judged(formerPlaces(path))
    if (!this.#closed) await this.#attempt((attempt) => appeared(path, attempt))
  }

  /**
   * Resolves when it is certain whether the plugins of these places are gone, and those that are have been unloaded, or run on from
   * elsewhere.
   */
  async #judged(paths: readonly string[]): Promise<void> {
    await this.#watcher.judged(paths)
    await Promise.all(paths.flatMap((path) => this.#leaving.get(path) ?? []))
  }

  #gone(path: string): void {
    for (const { name, source } of this.#options.instances.values()) {
      if (source.path !== path) continue
      const leaving = this.#run(name, () => this.#options.vanished(name))
      this.#leaving.set(path, leaving)
      void leaving.then(() => this.#leaving.delete(path))
    }
    // One that could not go on from there lies nowhere now.
    for (const name of this.#stayed) {
      const instance = this.#options.instances.get(name)
      if (instance && instance.source.path !== path && !this.#options.isThere(instance)) this.#note(name)
    }
  }

  async #run(what: string, act: () => Promise<unknown>): Promise<void> {
    try {
      await act()
    } catch (error) {
      if (!isStopped(error)) this.#options.fault(what, error as Error)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#watcher.close()
    await this.#working
    this.#refused.close()
  }
}
