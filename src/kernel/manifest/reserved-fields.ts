/** What a manifest may say already and what nothing is done about yet. */
import type { PluginSource } from './plugin-source.js'

/** One sentence, where there is such a thing. */
export const reservedIn = ({ name, manifest: { activation } }: PluginSource): string | undefined =>
  Array.isArray(activation)
    ? `The manifest of plugin '${name}' has patterns as its activation. Starting at an event is not built yet: the plugin starts with the kernel. Leave activation out, or write "startup".`
    : undefined
