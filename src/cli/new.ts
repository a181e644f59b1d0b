/** `plugbay new plugin <name>`: a plugin that runs at once, with its manifest and its test. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { PlugbayError } from '../errors.js'
import { NOT_PLUGINS } from '../kernel/manifest/discovery.js'
import { isKernelName } from '../kernel/manifest/kernel-names.js'
import { type ResolvedOptions, resolveOptions } from '../kernel/options/options.js'
import { type TerminalStyle, terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { upwardsFrom, within } from '../within.js'
import { fileNames, pluginFiles } from './plugin-template.js'
import { readOptions } from './project.js'

export interface NewOptions {
  dir: string
  ts?: true
}

const NAME = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/

/** `Price Watch` → `price-watch`. */
const fitName = (name: string): string =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')

const checkName = (name: string, kernel: string): void => {
  if (isKernelName(name, kernel))
    throw new PlugbayError('USAGE', `A plugin cannot be named '${name}': that is the kernel's own name. Choose another name.`)
  if (NOT_PLUGINS.has(name))
    throw new PlugbayError('USAGE', `A plugin cannot be named '${name}': folders of that name are passed over. Choose another name.`)
  if (NAME.test(name) && name.length <= 128) return
  const fit = fitName(name)
  const mend = fit === '' || fit.length > 128 ? '' : ` Try \`plugbay new plugin ${fit}\`.`
  throw new PlugbayError('USAGE', `'${name}' is no plugin name: it must be lower-case words joined by '-', '_' or '.'.${mend}`)
}

const withSlashes = (path: string): string => path.split(sep).join('/')

/** A path as it is written from here. One beyond is written as an absolute one where `dir` is that. */
const fromHere = (path: string, dir: string): string => {
  const here = process.cwd()
  return withSlashes(isAbsolute(dir) && !within(here, path) ? path : relative(here, path)) || '.'
}

/** As an argument of a command: shells take a space, and more, for themselves. */
const asArgument = (path: string): string => (/^[\w./:@+-]+$/.test(path) ? path : `"${path.replaceAll(/["\\$`]/g, String.raw`\$&`)}"`)

interface PackageFile {
  name?: string
  type?: string
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
}

const readPackage = async (folder: string): Promise<PackageFile | undefined> => {
  try {
    return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as PackageFile
  } catch {
    return undefined
  }
}

interface Surroundings {
  /** Where an editor finds the manifest's schema, as seen from the plugin. */
  schema: string
  /** Whether `plugbay/plugin` can be imported from there, for editors and tests; the kernel resolves it by itself. */
  installed: boolean
  runner: 'vitest' | 'node:test'
}

/** Whether the nearest package.json makes a plain `.js` CommonJS, as `npm init` does. */
const isCommonjs = async (folder: string): Promise<boolean> => {
  for (const each of upwardsFrom(folder)) {
    const owner = await readPackage(each)
    if (owner) return owner.type === 'commonjs'
  }
  return false
}

const lookAround = async (folder: string): Promise<Surroundings> => {
  const file = 'schemas/plugin.schema.json'
  const fallback: Surroundings = {
    schema: withSlashes(relative(folder, resolve('node_modules/plugbay', file))),
    installed: false,
    runner: 'node:test',
  }
  let found: Surroundings | undefined
  for (const each of upwardsFrom(dirname(folder))) {
    const owner = await readPackage(each)
    const installed = [join(each, 'node_modules/plugbay'), ...(owner?.name === 'plugbay' ? [each] : [])].find((place) =>
      existsSync(join(place, file)),
    )
    const usesVitest = [owner?.dependencies, owner?.devDependencies].some((names) => names !== undefined && 'vitest' in names)
    found ??=
      installed === undefined
        ? undefined
        : { schema: withSlashes(relative(folder, join(installed, file))), installed: true, runner: 'node:test' }
    if (usesVitest) return { ...(found ?? fallback), runner: 'vitest' }
    if (found) return found
  }
  return fallback
}

/** The kernel that `plugbay dev` would run from here: its name, and the folders of plugins it would look into. */
const kernelHere = async (): Promise<Pick<ResolvedOptions, 'name' | 'plugins'>> => {
  try {
    return resolveOptions(await readOptions('.', {}))
  } catch {
    // Nothing is there yet, or it cannot be read, which `plugbay check` tells.
    return { name: 'plugbay', plugins: [resolve('plugins')] }
  }
}

/** How a plugin in a folder that nothing names comes to be loaded; empty where it is. */
const howToLoad = (dir: string, places: readonly string[]): string => {
  if (places.includes(resolve(dir))) return ''
  const all = [...places, resolve(dir)].map((place) => {
    const path = fromHere(place, dir)
    return JSON.stringify(isAbsolute(path) || /^\.\.?(?:\/|$)/.test(path) ? path : `./${path}`)
  })
  return `Nothing is loaded from ${dir} yet: name that folder in plugbay.config.json (or .yaml, .js, .ts):\n  "plugins": [${all.join(', ')}]\n\n`
}

const nextSteps = (name: string, shown: string, testFile: string, around: Surroundings, style: TerminalStyle): string => {
  const test = around.runner === 'vitest' ? `npx vitest run ${asArgument(shown)}` : `node --test ${asArgument(`${shown}/${testFile}`)}`
  const steps = [
    ...(around.installed ? [] : [['npm install plugbay', "the plugin's test imports it"]]),
    [test, 'run its test'],
    ['npx plugbay dev', 'run it, and see each save take effect'],
    ['npx plugbay check', `see whether ${name} fits the others`],
  ] as const
  const width = Math.max(...steps.map(([command]) => command.length))
  return steps.map(([command, why]) => `  ${style.cyan(command.padEnd(width))}  ${style.dim(why)}`).join('\n')
}

export const newPlugin = async (name: string, options: NewOptions): Promise<void> => {
  const kernel = await kernelHere()
  checkName(name, kernel.name)
  const folder = resolve(options.dir, name)
  const shown = fromHere(folder, options.dir)
  const there = await readdir(folder).catch(() => [])
  if (there.length > 0) {
    throw new PlugbayError(
      'PLUGIN_DUPLICATE',
      `${shown} is there already, with ${there.length} files in it; nothing was written. Choose another name or --dir.`,
      {
        plugin: name,
      },
    )
  }
  const around = await lookAround(folder)
  const kind = { typescript: options.ts === true, commonjs: await isCommonjs(dirname(folder)) }
  const files = pluginFiles({ name, ...kind, schema: around.schema, runner: around.runner })
  await mkdir(folder, { recursive: true })
  const style = terminalStyle(wantsColor(process.stdout))
  const lines: string[] = []
  for (const [file, { text, says }] of Object.entries(files)) {
    // wx: a file that appeared meanwhile is not overwritten either.
    await writeFile(join(folder, file), text, { flag: 'wx' })
    lines.push(`  ${file.padEnd(14)}  ${style.dim(says)}`)
  }
  process.stdout.write(
    `${style.green('Made')} ${style.bold(shown)}\n${lines.join('\n')}\n\n${howToLoad(options.dir, kernel.plugins)}Next:\n${nextSteps(name, shown, fileNames(kind).test, around, style)}\n`,
  )
}
