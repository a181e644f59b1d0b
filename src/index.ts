/** plugbay: a microkernel for Node.js applications. */
import type { Kernel } from './kernel/kernel.js'
import type { KernelOptions } from './kernel/options/options.js'
import { explainShortage } from './kernel/text/system-limit.js'

export type { Event } from './bus/event.js'
export type { Bus } from './bus/event-bus.js'
export type { Subscription } from './bus/subscription.js'
// `export *`, so that `declare module 'plugbay' { interface Events { … } interface Services { … } }` merges with these.
export type * from './bus/typed-events.js'
export type * from './bus/typed-services.js'
export { ERROR_CODES, type ErrorCode, PlugbayError } from './errors.js'
export type { Attribution } from './kernel/audit/attribution.js'
export type { KernelMetrics } from './kernel/kernel.js'
export { Kernel } from './kernel/kernel.js'
export type { KernelServices } from './kernel/kernel-services.js'
export type { Fault, KernelEvents, KernelState } from './kernel/lifecycle/kernel-events.js'
export type { Limits, Manifest, RestartPolicy } from './kernel/manifest/manifest.js'
export type { KernelOptions, Logger } from './kernel/options/options.js'
export type { Learned } from './kernel/permissions/least-permissions.js'
export type { UnloadReport } from './kernel/plugins/plugin-operations.js'
export { type BootedPlugin, type BootReport, renderBootTree } from './kernel/reports/boot-report.js'
export type { Explanation } from './kernel/reports/explain.js'
export type { PluginInfo, PluginTraffic } from './kernel/reports/inventory.js'
export type { InspectOptions } from './kernel/supervision/inspection.js'
export type { FaultRecord, LastExit } from './kernel/supervision/plugin-instance.js'
export { byReference, transfer } from './passing.js'
export type { Permission } from './permission-set.js'

// An app imports this file long before it has a kernel: what these two need is loaded when they are called.

/** Why it cannot be had is loaded with this file: where it is for want of a descriptor, nothing else is. */
const unloaded = (call: string): ((error: unknown) => never) => explainShortage(undefined, `${call} cannot load what it is made of`)

/**
 * Makes a kernel; `kernel.start()` starts it. Relative paths are relative to `options.base` (default: the current folder).
 * Rejects with OPTIONS_INVALID, and with SYSTEM_LIMIT where the system gives nothing to load its parts by.
 */
export const createKernel = async (options: KernelOptions = {}): Promise<Kernel> => {
  const { composeKernel } = await import('./kernel/composition-root.js').catch(unloaded('createKernel()'))
  return composeKernel(options)
}

/**
 * Reads a configuration file: the file itself, or `plugbay.config.{ts,js,mjs,json,yaml,yml}` in a folder; undefined when
 * the folder has none. Relative paths in it are relative to its own folder. A module gives the options as default export.
 *
 * Rejects with OPTIONS_INVALID, naming file, line and field, and with SYSTEM_LIMIT where the system gives nothing to read by.
 */
export const loadConfigFile = async (place: string): Promise<KernelOptions | undefined> => {
  const file = await import('./kernel/options/config-file.js').catch(unloaded('loadConfigFile()'))
  return file.loadConfigFile(place)
}
