/** The shape of the house: who may import whom. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { circles, filesReachableFrom, packageOf, reachableFrom, readModuleGraph, upwardImports } from '../support/module-graph.js'

const src = fileURLToPath(new URL('../../src', import.meta.url))
const graph = readModuleGraph(src)

/**
 * Lowest first. Layers in one row do not know each other. A file that is none of these has to be given a place here.
 * The grammar of topics and the check of subscribe options are ground, not the bus's own: a guest refuses what is bad before it sends it.
 */
const ROWS = [
  [
    {
      name: 'ground',
      owns: [
        'errors.ts',
        'arguments.ts',
        'composite-signals.ts',
        'cut.ts',
        'scope.ts',
        'sentence.ts',
        'service-options.ts',
        'source-map.ts',
        'text-file.ts',
        'iteration.ts',
        'limiter.ts',
        'names.ts',
        'nearest.ts',
        'nesting.ts',
        'passing.ts',
        'pace.ts',
        'pattern-cover.ts',
        'permission-set.ts',
        'hosts.ts',
        'denials.ts',
        'strip-types.ts',
        'subscribe-options.ts',
        'thenable.ts',
        'topic.ts',
        'versions.ts',
        'within.ts',
        'wire-error.ts',
        'event-ids.ts',
      ],
    },
  ],
  [
    { name: 'bus', owns: ['bus/'] },
    { name: 'sandbox', owns: ['sandbox/'] },
  ],
  [{ name: 'kernel', owns: ['kernel/'] }],
  [{ name: 'entries', owns: ['index.ts', 'plugin.ts', 'testing.ts', 'testing/'] }],
  [{ name: 'command', owns: ['cli/'] }],
]

const part = (...owns: string[]) => ({ name: owns.join(', '), owns })

/** The same within the two that are large, a folder for each part. */
const PARTS = {
  sandbox: [
    [
      part('sandbox/permissions/'),
      part('sandbox/values/'),
      part(
        'sandbox/clock.ts',
        'sandbox/cpu-profile.ts',
        'sandbox/cpu-recording.ts',
        'sandbox/forged.ts',
        'sandbox/heap-report.ts',
        'sandbox/pulse.ts',
        'sandbox/shortage.ts',
        'sandbox/stint.ts',
        'sandbox/token-bucket.ts',
      ),
    ],
    [part('sandbox/channel.ts')],
    [part('sandbox/plugin-host.ts'), part('sandbox/conversation/')],
    [part('sandbox/protocol.ts'), part('sandbox/rpc.ts')],
    [part('sandbox/lines/'), part('sandbox/watch/'), part('sandbox/log/'), part('sandbox/folder-listing.ts', 'sandbox/task-wire.ts')],
    [part('sandbox/framed-channel.ts', 'sandbox/relayed.ts')],
    [part('sandbox/host/', 'sandbox/guest/', 'sandbox/off-thread-hooks.ts')],
  ],
  kernel: [
    [part('kernel/text/'), part('kernel/services/')],
    [part('kernel/schema/')],
    [part('kernel/log/')],
    [part('kernel/options/')],
    [part('kernel/manifest/')],
    [part('kernel/lifecycle/'), part('kernel/modules/')],
    [part('kernel/audit/'), part('kernel/faults/'), part('kernel/limits/'), part('kernel/permissions/')],
    [part('kernel/announcing/'), part('kernel/config/'), part('kernel/gateway/'), part('kernel/tasks/')],
    [part('kernel/supervision/')],
    [part('kernel/plugins/')],
    [part('kernel/reload/'), part('kernel/reports/')],
    [part('kernel/composition-root.ts', 'kernel/end-process.ts', 'kernel/kernel.ts', 'kernel/kernel-run.ts', 'kernel/kernel-services.ts')],
  ],
}

const HEAVY = ['ajv', 'ajv-formats', 'chokidar', 'piscina', 'yaml', '@swc/wasm-typescript']
const NOT_IN_A_GUEST = ['ajv', 'ajv-formats', 'chokidar', 'piscina', 'semver', 'yaml']

describe('the source tree', () => {
  test('imports only go down', () => {
    expect(upwardImports(graph, ROWS)).toEqual([])
  })

  test.each(Object.entries(PARTS))('imports only go down between the parts of %s', (house, rows) => {
    expect(upwardImports(new Map([...graph].filter(([path]) => path.startsWith(`${house}/`))), rows)).toEqual([])
  })

  test('has no circle', () => {
    expect(circles(graph)).toEqual([])
  })

  test('every relative import names a file that is there', () => {
    const lost = [...graph].flatMap(([path, imports]) =>
      imports
        .filter(({ file }) => file?.endsWith('.ts') && !graph.has(file) && !graph.has(file.replace(/\.ts$/, '.d.ts')))
        .map(({ specifier }) => `src/${path} imports ${specifier}, which is not there`),
    )
    expect(lost).toEqual([])
  })

  test('src/plugin.ts loads nothing but src/passing.ts', () => {
    const why = 'what a plugin author imports must load next to nothing, in every worker there is'
    const files = [...filesReachableFrom(graph, 'plugin.ts')].filter((file) => file !== 'plugin.ts' && file !== 'passing.ts')
    const packages = [...reachableFrom(graph, 'plugin.ts').keys()]
    expect([...files, ...packages].map((each) => `src/plugin.ts loads ${each}: ${why}`)).toEqual([])
  })

  test('src/sandbox/protocol.ts imports no platform module', () => {
    const found = [...reachableFrom(graph, 'sandbox/protocol.ts').keys()].map(
      (specifier) => `src/sandbox/protocol.ts imports ${specifier}: the words of the conversation must be the same whatever carries them`,
    )
    const direct = (graph.get('sandbox/protocol.ts') ?? [])
      .filter(({ specifier }) => specifier.startsWith('node:'))
      .map(({ specifier }) => `src/sandbox/protocol.ts imports the types of ${specifier}: the words must be the same whatever carries them`)
    expect([...found, ...direct]).toEqual([])
  })

  test('guest code loads nothing heavy and nothing of the kernel', () => {
    const found: string[] = []
    for (const [path, imports] of graph) {
      if (!path.startsWith('sandbox/guest/')) continue
      for (const { file, specifier } of imports) {
        if (file?.startsWith('kernel/')) {
          found.push(`src/${path} imports src/${file}: a guest runs in the plugin's place and knows the kernel by the protocol alone`)
        }
        if (NOT_IN_A_GUEST.includes(packageOf(specifier))) {
          found.push(`src/${path} imports ${specifier}: every worker would pay for it at start; validate and resolve on the kernel's side`)
        }
      }
      for (const [specifier, trail] of reachableFrom(graph, path)) {
        if (NOT_IN_A_GUEST.includes(packageOf(specifier)) && trail.length > 1) {
          found.push(
            `src/${trail.join(' → ')} → ${specifier}: every worker would pay for it at start; validate and resolve on the kernel's side`,
          )
        }
      }
    }
    expect(found).toEqual([])
  })

  test.each(['index.ts', 'testing.ts'])('src/%s reaches nothing heavy without being asked', (entry) => {
    const found = [...reachableFrom(graph, entry)]
      .filter(([specifier]) => HEAVY.includes(packageOf(specifier)))
      .map(
        ([specifier, trail]) =>
          `src/${trail.join(' → ')} → ${specifier}: importing plugbay must be quick; import() it where it is first needed`,
      )
    expect(found).toEqual([])
  })
})

describe('the checker itself', () => {
  const made: string[] = []
  const tree = (files: Record<string, string>) => {
    const root = mkdtempSync(join(tmpdir(), 'plugbay-graph-'))
    made.push(root)
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return readModuleGraph(root)
  }
  afterAll(() => {
    for (const root of made) rmSync(root, { recursive: true, force: true })
  })

  test.each([
    ['import', "import { kernel } from '../kernel/kernel.js'\nexport const used = kernel"],
    ['import type', "import type { Kernel } from '../kernel/kernel.js'\nexport type Used = Kernel"],
    ['inline type import', "export type Used = import('../kernel/kernel.js').Kernel"],
    ['re-export', "export * from '../kernel/kernel.js'"],
    ['type re-export', "export type { Kernel } from '../kernel/kernel.js'"],
    ['dynamic import', "export const load = () => import('../kernel/kernel.js')"],
    ['bare import', "import '../kernel/kernel.js'"],
  ])('finds an upward %s', (_kind, text) => {
    const found = upwardImports(tree({ 'bus/bus.ts': text, 'kernel/kernel.ts': 'export type Kernel = 1; export const kernel = 1' }), ROWS)
    expect(found).toHaveLength(1)
    expect(found[0]).toContain('src/bus/bus.ts (bus) imports src/kernel/kernel.ts (kernel): imports only go down')
  })

  test('finds neighbours that know each other', () => {
    const found = upwardImports(tree({ 'bus/bus.ts': "import '../sandbox/rpc.js'", 'sandbox/rpc.ts': 'export {}' }), ROWS)
    expect(found).toEqual([expect.stringContaining('these two do not know each other')])
  })

  test('finds a file without a place', () => {
    expect(upwardImports(tree({ 'stray.ts': 'export {}' }), ROWS)).toEqual([expect.stringContaining('src/stray.ts belongs to no layer')])
  })

  test('finds a circle, through type imports too, and names its path once', () => {
    const found = circles(
      tree({
        'bus/a.ts': "import { b } from './b.js'\nexport const a = b",
        'bus/b.ts': "import type { C } from './c.js'\nexport const b = 1 as unknown as C",
        'bus/c.ts': "export * from './a.js'\nexport type C = 1",
        'bus/d.ts': "import './a.js'",
      }),
    )
    expect(found).toEqual([expect.stringContaining('bus/a.ts → bus/b.ts → bus/c.ts → bus/a.ts')])
  })

  test('is not fooled by imports inside strings and comments', () => {
    const parsed = tree({
      'cli/new.ts': "// import '../index.js'\nexport const text = `import { x } from './nowhere.js'`\n/* import('./y.js') */",
    })
    expect(parsed.get('cli/new.ts')).toEqual([])
  })

  test('follows runtime imports alone when it asks what an entry loads', () => {
    const loaded = reachableFrom(
      tree({
        'index.ts': "import type { A } from 'ajv'\nimport './kernel/kernel.js'\nexport type Used = A",
        'kernel/kernel.ts': "import { parse } from 'yaml'\nexport const later = () => import('chokidar')\nexport { parse }",
      }),
      'index.ts',
    )
    expect([...loaded]).toEqual([['yaml', ['index.ts', 'kernel/kernel.ts']]])
  })

  test.each([
    ['ajv/dist/2020.js', 'ajv'],
    ['@swc/wasm-typescript', '@swc/wasm-typescript'],
    ['node:fs/promises', 'node:fs'],
  ])('knows the package of %s', (specifier, name) => {
    expect(packageOf(specifier)).toBe(name)
  })
})
