/** The configurations that a kernel was given, by plugin, and what comes of each with the plugin's manifest and its file. */
import type { PluginSource } from '../manifest/plugin-source.js'
import type { ResolvedOptions } from '../options/options.js'
import type { PluginPermissions } from '../permissions/plugin-permissions.js'
import { type PluginConfig, resolvePluginConfig } from './plugin-config.js'

export class Configurations {
  readonly #options: Pick<ResolvedOptions, 'config' | 'configDir' | 'env'>
  readonly #permissions: PluginPermissions
  readonly #given: Map<string, object>

  constructor(options: Pick<ResolvedOptions, 'config' | 'configDir' | 'env'>, permissions: PluginPermissions) {
    this.#options = options
    this.#permissions = permissions
    this.#given = new Map(Object.entries(options.config))
  }

  /** What was given for the plugin last, in the kernel's options or since, before defaults. */
  given(plugin: string): object | undefined {
    return this.#given.get(plugin)
  }

  give(plugin: string, config: object): void {
    this.#given.set(plugin, config)
  }

  #inOptions(plugin: string): object | undefined {
    const { config } = this.#options
    return Object.hasOwn(config, plugin) ? config[plugin] : undefined
  }

  /** What the plugin gets when it is given that. Rejects as {@link resolvePluginConfig} throws. */
  resolve(source: PluginSource, given: object | undefined): Promise<PluginConfig> {
    const { name, manifest, manifestPath } = source
    const { configDir, env } = this.#options
    const mayRead = (variable: string): boolean => this.#permissions.use(source, `env:${variable}`, 'read')
    const from = given === this.#inOptions(name) ? `options.config['${name}']` : 'what updateConfig was given'
    return resolvePluginConfig({ name, declaration: manifest.config, manifestPath, configDir, override: given, from, env, mayRead })
  }
}
