/** `plugbay list` and `plugbay graph`: the static view of a folder. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderWith, plugbay, pluginsWith } from '../../support/command.js'

const folder = () =>
  folderWith(
    pluginsWith({
      database: { version: '1.2.0', isolation: 'inline' },
      users: { dependencies: { database: '^1.0.0' }, optionalDependencies: { logger: '*' } },
      lost: { dependencies: { billing: '^3.0.0' } },
      off: { enabled: false, conflicts: { database: '*' } },
    }),
  )

describe('plugbay list', () => {
  test('shows where each runs, when it starts, what it needs, and why one does not', async () => {
    const { code, stdout } = await plugbay(['list'], folder())
    expect(stdout.split('\n').slice(0, 5)).toEqual([
      'name      version  runs    chosen by  starts              needs',
      'database  1.2.0    inline  manifest   wave 1',
      'lost      1.0.0    thread  default    DEPENDENCY_MISSING  billing ^3.0.0',
      'off       1.0.0    thread  default    disabled',
      'users     1.0.0    thread  default    wave 2              database ^1.0.0, logger * (optional)',
    ])
    expect(stdout).toContain("'billing' (^3.0.0) is not there")
    expect(code).toBe(0)
  })

  test('gives the same as JSON', async () => {
    const { stdout } = await plugbay(['list', '--json'], folder())
    expect(JSON.parse(stdout)).toMatchObject([
      { name: 'database', version: '1.2.0', isolation: 'inline', isolationFrom: 'manifest', demote: null, wave: 0, enabled: true },
      { name: 'lost', wave: null, error: { code: 'DEPENDENCY_MISSING' } },
      { name: 'off', wave: null, enabled: false, conflicts: { database: '*' } },
      { name: 'users', wave: 1, dependencies: { database: '^1.0.0' } },
    ])
  })

  test('tells of what cannot be read as a plugin, by its name or its place, in both', async () => {
    const files = { ...pluginsWith({ users: {}, torn: { vers: 1 }, broken: {} }), 'plugins/broken/plugin.json': '{' }
    const made = folderWith(files)
    const { stdout } = await plugbay(['list'], made)
    expect(stdout).toContain('vers: is not a known field')
    expect(stdout).toContain('is not valid JSON')
    const json = await plugbay(['list', '--json'], made)
    expect(JSON.parse(json.stdout)).toEqual([
      expect.objectContaining({ name: 'users', wave: 0 }),
      {
        name: 'plugins/broken',
        path: join(made, 'plugins/broken'),
        wave: null,
        error: { code: 'MANIFEST_INVALID', message: expect.stringContaining('is not valid JSON') as string },
      },
      {
        name: 'torn',
        path: join(made, 'plugins/torn'),
        wave: null,
        error: { code: 'MANIFEST_INVALID', message: expect.stringContaining('vers: is not a known field') as string },
      },
    ])
    expect(json.code).toBe(0)
  })

  test('of a folder without plugins says how to begin', async () => {
    const { code, stdout } = await plugbay(['list'], folderWith({ 'plugins/.keep': '' }))
    expect(stdout).toBe('No plugins in plugins. `plugbay new plugin <name>` makes one.\n')
    expect(code).toBe(0)
  })
})

describe('plugbay graph', () => {
  test('draws waves, what each waits for, and what is left out', async () => {
    const { stdout } = await plugbay(['graph'], folder())
    expect(stdout).toBe(
      [
        'wave 1',
        '└─ database 1.2.0',
        'wave 2',
        '└─ users 1.0.0 ← database, logger (optional, not there)',
        'left out',
        "├─ lost 1.0.0 DEPENDENCY_MISSING Plugin 'lost' needs a plugin it cannot have: 'billing' (^3.0.0) is not there.",
        '└─ off 1.0.0 disabled',
        '',
      ].join('\n'),
    )
  })

  test('says which optional dependency is not waited for', async () => {
    const { stdout } = await plugbay(
      ['graph'],
      folderWith(pluginsWith({ a: { optionalDependencies: { b: '*' } }, b: { dependencies: { a: '*' } } })),
    )
    expect(stdout).toContain('└─ a 1.0.0 ← b (optional, not waited for: it would close a circle)')
  })

  test('draws Mermaid', async () => {
    const { stdout } = await plugbay(['graph', '--format', 'mermaid'], folder())
    expect(stdout).toBe(
      [
        'flowchart BT',
        '  subgraph wave1["wave 1"]',
        '    p0["database<br/>1.2.0"]',
        '  end',
        '  subgraph wave2["wave 2"]',
        '    p3["users<br/>1.0.0"]',
        '  end',
        '  p1["lost<br/>1.0.0"]:::out',
        '  p2["off<br/>1.0.0"]:::out',
        '  p4["billing"]:::absent',
        '  p5["logger"]:::absent',
        '  p1 --> p4',
        '  p2 -- excludes --x p0',
        '  p3 --> p0',
        '  p3 -.-> p5',
        '  classDef out stroke:#c33,stroke-dasharray:4',
        '  classDef absent stroke:#999,color:#999,stroke-dasharray:2',
        '',
      ].join('\n'),
    )
  })

  test('draws DOT', async () => {
    const { stdout } = await plugbay(['graph', '--format', 'dot'], folder())
    expect(stdout).toMatch(/^digraph plugbay \{\n/)
    expect(stdout).toContain('  { rank=same; "database" }\n  { rank=same; "users" }\n')
    expect(stdout).toContain('  "lost" [label="lost\\n1.0.0 · DEPENDENCY_MISSING", color=red, style="rounded,dashed"]\n')
    expect(stdout).toContain('  "users" -> "database"\n  "users" -> "logger" [style=dashed]\n')
    expect(stdout).toMatch(/\n\}\n$/)
  })

  test.each([
    ['text', '└─ torn MANIFEST_INVALID ', '├─ plugins/broken MANIFEST_INVALID '],
    ['mermaid', '  p2["torn<br/>MANIFEST_INVALID"]:::out', '  p1["plugins/broken<br/>MANIFEST_INVALID"]:::out'],
    [
      'dot',
      '  "torn" [label="torn\\nMANIFEST_INVALID", color=red, style="rounded,dashed"]',
      '  "plugins/broken" [label="plugins/broken\\nMANIFEST_INVALID", color=red, style="rounded,dashed"]',
    ],
  ])('draws as %s what has a manifest that cannot be read, by its name or its place', async (format, ...says) => {
    const files = {
      ...pluginsWith({ users: { dependencies: { torn: '*' } }, torn: { vers: 1 }, broken: {} }),
      'plugins/broken/plugin.json': '{',
    }
    const { stdout } = await plugbay(['graph', '--format', format], folderWith(files))
    for (const each of says) expect(stdout).toContain(each)
  })
})
