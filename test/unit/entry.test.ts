/** What importing the public entries and calling the command load: little, because every app, every worker and every call pays for it. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const recorder = new URL('../fixtures/entry/record-loads.mjs', import.meta.url).href

/** Every module that `node <args>` resolves, in a fresh process. */
const loadedByNode = (...args: string[]): string[] =>
  execFileSync(process.execPath, ['--no-warnings', '--import', recorder, ...args], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith('file:') || line.startsWith('node:'))

const loadedBy = (code: string): string[] => loadedByNode('--input-type=module', '--eval', code)

const packageOf = (url: string) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]

const packagesIn = (urls: string[]) => new Set(urls.flatMap((url) => packageOf(url) ?? []))

/** The files of plugbay itself, as they lie in dist/. */
const filesIn = (urls: string[]) => {
  const own = urls.filter((url) => packageOf(url) === undefined)
  return [...new Set(own.flatMap((url) => /\/dist\/(.+)$/.exec(url)?.[1] ?? []))].sort()
}

describe('what is loaded', () => {
  test('importing plugbay loads what can be had without a kernel, and nothing else', () => {
    const urls = loadedBy("await import('plugbay')")
    expect(filesIn(urls)).toEqual([
      'arguments.js',
      'cut.js',
      'errors.js',
      'index.js',
      'kernel/kernel.js',
      'kernel/reports/boot-report.js',
      'kernel/text/system-limit.js',
      'kernel/text/terminal-style.js',
      'kernel/text/visible-text.js',
      'nearest.js',
      'nesting.js',
      'passing.js',
      'sandbox/shortage.js',
      'sentence.js',
      'wire-error.js',
    ])
    expect(urls.filter((url) => url.startsWith('node:'))).toEqual([])
    expect(packagesIn(urls)).toEqual(new Set(['fastest-levenshtein']))
  })

  test('making a kernel of plain options loads no validator, watcher, pool or parser, and none of the parts it was not asked for', () => {
    const urls = loadedBy("const { createKernel } = await import('plugbay'); await createKernel()")
    const files = filesIn(urls)
    expect(files).toContain('kernel/composition-root.js')
    expect(files.filter((file) => /audit\/(?!attribution)|learning|inspection|hot-reload|config-file/.test(file))).toEqual([])
    const packages = packagesIn(urls)
    for (const heavy of ['ajv', 'ajv-formats', 'chokidar', 'piscina', 'yaml', '@swc/wasm-typescript']) expect(packages).not.toContain(heavy)
  })

  test('importing plugbay/plugin loads two small files', () => {
    expect(filesIn(loadedBy("await import('plugbay/plugin')"))).toEqual(['passing.js', 'plugin.js'])
  })

  test('importing plugbay/testing loads what can be had without a kernel under test', () => {
    const urls = loadedBy("await import('plugbay/testing')")
    const own = ['testing.js', 'testing/fake-clock.js', 'testing/test-kernel.js']
    expect(filesIn(urls)).toEqual(['arguments.js', 'errors.js', 'names.js', 'nearest.js', ...own, 'topic.js'])
    expect(urls.filter((url) => url.startsWith('node:'))).toEqual([])
    expect(packagesIn(urls)).toEqual(new Set(['fastest-levenshtein']))
  })

  test.each(['--version', '--help'])('calling the command with %s loads neither a kernel nor what its commands do', (option) => {
    const urls = loadedByNode('dist/cli/plugbay.js', option)
    expect(filesIn(urls)).toEqual([
      'cli/commands.js',
      'cli/plugbay.js',
      'cli/usage.js',
      'errors.js',
      'kernel/text/terminal-style.js',
      'kernel/text/visible-text.js',
    ])
    expect(packagesIn(urls)).toEqual(new Set(['commander']))
  })

  test('is really seen: a package that is imported shows', () => {
    expect(packagesIn(loadedBy("await import('yaml'); await import('chokidar')"))).toEqual(new Set(['yaml', 'chokidar', 'readdirp']))
  })
})

test('the class of the kernels is there before a kernel is', async () => {
  const { createKernel, Kernel } = await import('plugbay')
  expect(await createKernel()).toBeInstanceOf(Kernel)
  await expect(createKernel({ plugin: './plugins' } as object)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
})
