/** What importing the public entries loads: little, because every app and every worker pays for it. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const recorder = new URL('../fixtures/entry/record-loads.mjs', import.meta.url).href

/** Every module a fresh process resolves while it runs `code`. */
const loadedBy = (code: string): string[] =>
  execFileSync(process.execPath, ['--no-warnings', '--import', recorder, '--input-type=module', '--eval', code], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((line) => line.startsWith('file:') || line.startsWith('node:'))

const packagesIn = (urls: string[]) => new Set(urls.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []))

describe('importing', () => {
  test('plugbay loads no validator, watcher, pool or parser', () => {
    const urls = loadedBy("await import('plugbay')")
    expect(urls.some((url) => url.endsWith('/dist/index.js'))).toBe(true)
    const packages = packagesIn(urls)
    for (const heavy of ['ajv', 'ajv-formats', 'chokidar', 'piscina', 'yaml', '@swc/wasm-typescript']) expect(packages).not.toContain(heavy)
  })

  test('plugbay/plugin loads two small files', () => {
    const files = loadedBy("await import('plugbay/plugin')").flatMap((url) =>
      url.startsWith('file:') ? url.slice(url.lastIndexOf('/') + 1) : [],
    )
    expect(files.sort()).toEqual(['passing.js', 'plugin.js'])
  })

  test('is really watched: a package that is imported shows', () => {
    expect(packagesIn(loadedBy("await import('yaml'); await import('chokidar')"))).toEqual(new Set(['yaml', 'chokidar', 'readdirp']))
  })
})
