/**
 * The composition root: the one place where the parts of a kernel are made and given to each other. Loaded when the first kernel is made.
 */
import { Standby } from '../sandbox/host/standby.js'
import { Scope } from '../scope.js'
import { codeOf, reasonOf } from '../wire-error.js'
import { Announcer } from './announcing/announcer.js'
import { assertAttribution } from './audit/attribution.js'
import type { Act, Audit } from './audit/audit.js'
import { Configurations } from './config/configurations.js'
import { endProcess } from './end-process.js'
import { handlerFailed } from './gateway/handler-failed.js'
import { Kernel } from './kernel.js'
import { KernelRun } from './kernel-run.js'
import { KernelServices } from './kernel-services.js'
import { KernelLifecycle } from './lifecycle/kernel-lifecycle.js'
import { readableLogger } from './log/log.js'
import { placementOf } from './manifest/isolation.js'
import type { PluginSource } from './manifest/plugin-source.js'
import { type KernelOptions, type Logger, type ResolvedOptions, resolveOptions } from './options/options.js'
import { PluginPermissions } from './permissions/plugin-permissions.js'
import { JointChanges } from './plugins/joint-changes.js'
import { PluginOperations } from './plugins/plugin-operations.js'
import { Reconciler } from './plugins/reconciler.js'
import { Roster } from './plugins/roster.js'
import { Whereabouts } from './plugins/whereabouts.js'
import { Inventory } from './reports/inventory.js'
import { makePlane } from './services/plane.js'
import { GenerationFactory } from './supervision/generation-factory.js'
import type { Inspection } from './supervision/inspection.js'
import { StuckThreads } from './supervision/stuck-threads.js'
import { Supervisor } from './supervision/supervisor.js'
import { TaskPools } from './tasks/task-pools.js'

/** A kernel with all its parts, not started. Rejects with OPTIONS_INVALID. */
export const composeKernel = async (given: KernelOptions): Promise<Kernel> => {
  const options = resolveOptions(given)
  const scope = new Scope('kernel')
  const log = options.logger ?? readableLogger(options.logLevel)
  const plane = makePlane(
    options.name,
    ({ owner, pattern }, { type }, error) => {
      // A plugin's generation tells of its own.
      if (owner === options.name) log.error(...handlerFailed('the application', type, pattern, error))
    },
    // A dead generation stays until the next takes over, or until nobody waits for one.
    (plugin) => roster.byName.get(plugin)?.generation?.fault !== undefined,
  )
  const services = new KernelServices(options.name, plane, scope)
  const roster = new Roster(
    options,
    (name, generation, transition) => announcer.tell('plugin:state', { name, generation, ...transition }),
    (plugin, sentence) => log.warn({ plugin }, sentence),
  )
  // Loaded when they are asked for: many a kernel keeps no audit log, and none that serves learns.
  const audit = options.audit && (await auditOf(options.audit, log, roster))
  const learning = options.learn ? new (await import('./permissions/learning.js')).Learning(options) : undefined
  const act: Act = async (action, plugin, by, run) => {
    if (by !== undefined) assertAttribution(action, by)
    return audit ? audit.act(action, plugin, by ?? {}, run) : run()
  }
  const announcer = new Announcer(log, audit, plane.bus, (name) => roster.byName.get(name)?.lastExit?.reason)
  // Before any listener of the embedder's: to those the history has it.
  announcer.on('plugin:fault', ({ name, generation, error }) => {
    const code = codeOf(error)
    if (code !== 'PERMISSION_DENIED') roster.byName.get(name)?.remember({ code, message: reasonOf(error), generation })
  })
  announcer.on('plugin:demoted', ({ name, generation, reason }) => {
    roster.byName.get(name)?.remember({ code: undefined, message: reason, generation })
  })
  const lifecycle = new KernelLifecycle((transition) => announcer.tell('kernel:state', transition))
  const permissions = new PluginPermissions(options, learning)
  const configurations = new Configurations(options, permissions)
  const standby = new Standby(options.standby)
  const stuckThreads = new StuckThreads()
  const inspections = new Map<string, Inspection>()
  const shared = {
    plane,
    configurations,
    audit,
    track: (source: PluginSource): Promise<void> | undefined => run.track(source),
  }
  const generations = new GenerationFactory({
    ...shared,
    options,
    standby,
    tasks: new TaskPools(options.taskThreads),
    permissions,
    inspections,
    learning,
    log,
    announcer,
    stuckThreads,
  })
  const supervisor = new Supervisor({
    make: (instance, change, birth, crashed) => generations.make(instance, change, birth, crashed),
    emit: (event, payload) => announcer.tell(event, payload),
    together: (make) => plane.registry.together(make),
    // A change was carried out: it holds for later generations too.
    adopt: (instance, { source, config }) => {
      if (source) roster.adopt(instance, source)
      if (config) configurations.give(instance.name, config)
    },
    cameBack: ({ name, restarts }) => void (restarts.policy.strategy === 'rest-for-one' && reconciler.replaceDependents(name)),
    demotable: ({ source }) => {
      const { isolation, from } = placementOf(source, options)
      return isolation === 'thread' && from !== 'operator'
    },
    givenUp: ({ name, restarts }) => void (restarts.policy.onGiveUp === 'stop' && reconciler.stopDependents(name)),
  })
  const reconciler = new Reconciler(roster.byName, supervisor, options.concurrentStarts, (service, version) =>
    plane.registry.isTaken(service, version),
  )
  const whereabouts = new Whereabouts(roster, options.plugins)
  const jointChanges = new JointChanges(roster, whereabouts, reconciler)
  const operations = new PluginOperations({
    ...shared,
    base: options.base,
    lifecycle,
    roster,
    whereabouts,
    jointChanges,
    reconciler,
    supervisor,
    untrack: (plugin) => run.untrack(plugin),
    astray: (plugin) => run.astray(plugin),
  })
  const inventory = new Inventory({ options, roster, reconciler, permissions, inspections })
  const run = new KernelRun({
    options,
    log,
    plane,
    scope,
    lifecycle,
    roster,
    whereabouts,
    jointChanges,
    reconciler,
    operations,
    inventory,
    configurations,
    permissions,
    announcer,
    audit,
    act,
    inspections,
    standby,
    learns: learning !== undefined,
  })
  return new Kernel({
    log,
    bus: plane.bus,
    services,
    lifecycle,
    run,
    roster,
    operations,
    inventory,
    announcer,
    act,
    inspections,
    standby,
    stuckThreads,
    learning,
    endProcess,
  })
}

const auditOf = async (options: NonNullable<ResolvedOptions['audit']>, log: Logger, roster: Roster): Promise<Audit> => {
  const [{ Audit }, { AuditLog }] = await Promise.all([import('./audit/audit.js'), import('./audit/audit-log.js')])
  return new Audit({ log: new AuditLog({ ...options, log }), errorOf: (name) => roster.byName.get(name)?.error })
}
