/** What the options say of plugins that are not there. */
import { didYouMean } from '../nearest.js'
import type { ResolvedOptions } from './options.js'

const BY_PLUGIN = ['config', 'grants', 'isolation'] as const

/** One sentence for each entry of a plugin that is not among `names`, with the nearest name that is. */
export const strangersIn = (options: Pick<ResolvedOptions, (typeof BY_PLUGIN)[number]>, names: readonly string[]): string[] =>
  BY_PLUGIN.flatMap((field) =>
    Object.keys(options[field])
      .filter((name) => !names.includes(name))
      .map((name) => `${field} has '${name}', but there is no plugin of that name.${didYouMean(name, names)}`),
  )
