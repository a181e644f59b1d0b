/** Names that no plugin may have: by one it would be taken for the kernel, in the source of events, in the log and in the audit log. */
import { PlugbayError } from '../../errors.js'
import type { PluginSource } from './plugin-source.js'

/** What the kernel is called wherever it does not go by the name in its options. */
const ALWAYS = ['kernel', 'plugbay']

/** `kernel` is that one's name in its options. */
export const isKernelName = (name: string, kernel: string): boolean => name === kernel || ALWAYS.includes(name)

/** PLUGIN_DUPLICATE for a plugin that would be taken for the kernel; `kernel` is that one's name. */
export const kernelNameFault = ({ name, path }: PluginSource, kernel: string): PlugbayError | undefined => {
  if (!isKernelName(name, kernel)) return undefined
  const mend = name === kernel && !ALWAYS.includes(name) ? 'Rename it, or give the kernel another name (the option name)' : 'Rename it'
  return new PlugbayError(
    'PLUGIN_DUPLICATE',
    `The plugin at ${path} is named '${name}', which is the kernel's own name: its events and log lines would pass for the kernel's. It was left out. ${mend}.`,
    { plugin: name, details: { paths: [path] } },
  )
}
