/** What the options say of plugins that are not there. */
import { extname } from 'node:path'
import { didYouMean } from '../../nearest.js'
import type { ResolvedOptions } from '../options/options.js'
import { namesIn } from '../text/missing-path.js'
import { PLUGIN_CONFIG_ENDINGS } from './plugin-config.js'

const BY_PLUGIN = ['config', 'grants', 'isolation'] as const

/** Files that elsewhere hold configurations. */
const NOT_READ = ['.toml', '.json5', '.jsonc', '.ini', '.js', '.mjs', '.cjs', '.ts']

/** What is in the folder of configurations and is nobody's, or is of a kind that is not read. */
const strangersAmongFiles = (configDir: string, names: readonly string[]): string[] =>
  namesIn(configDir).flatMap((file) => {
    const ending = extname(file)
    const name = file.slice(0, file.length - ending.length)
    if (PLUGIN_CONFIG_ENDINGS.includes(ending) && !file.startsWith('.') && !names.includes(name))
      return [`configDir has '${file}', but there is no plugin of that name.${didYouMean(name, names)}`]
    return NOT_READ.includes(ending) && names.includes(name)
      ? [`configDir has '${file}', which is not read: a configuration ends in ${PLUGIN_CONFIG_ENDINGS.join(', ')}.`]
      : []
  })

/** One sentence for each entry of a plugin that is not among `names`, with the nearest name that is. */
export const strangersIn = (
  options: Pick<ResolvedOptions, (typeof BY_PLUGIN)[number] | 'configDir'>,
  names: readonly string[],
): string[] => [
  ...BY_PLUGIN.flatMap((field) =>
    Object.keys(options[field])
      .filter((name) => !names.includes(name))
      .map((name) => `${field} has '${name}', but there is no plugin of that name.${didYouMean(name, names)}`),
  ),
  ...(options.configDir === undefined ? [] : strangersAmongFiles(options.configDir, names)),
]
