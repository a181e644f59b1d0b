/** The boot tree: what a person sees first. */

import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type BootedPlugin, type BootReport, duration, renderBootTree } from '#src/kernel/reports/boot-report.js'
import { terminalStyle, wantsColor } from '#src/kernel/text/terminal-style.js'

const plugin = (name: string, more: Partial<BootedPlugin> = {}): BootedPlugin => ({
  name,
  version: '1.0.0',
  state: 'running',
  isolation: 'thread',
  generation: 1,
  wave: 0,
  ms: 12,
  phases: { load: 8, initialize: 1, start: 3 },
  provides: [],
  publishes: [],
  subscribes: [],
  ...more,
})

const report: BootReport = {
  ms: 143.2,
  waves: [['database', 'logger'], ['users']],
  order: ['database', 'logger', 'users'],
  plugins: [
    plugin('database', { version: '1.10.0', provides: ['database'], ms: 41.4 }),
    plugin('logger', { isolation: 'inline', subscribes: ['**'], ms: 0.42, phases: { load: 0.3, initialize: 0, start: 0.12 } }),
    plugin('users', {
      wave: 1,
      state: 'failed',
      ms: 1500,
      error: { code: 'PLUGIN_START', message: "Plugin 'users': start threw: no port.\n    at start (users/index.js:3:1)" },
    }),
    plugin('old', { wave: -1, state: 'disabled', ms: 0, phases: { load: 0, initialize: 0, start: 0 } }),
  ],
}

describe('the boot tree', () => {
  test('shows waves, places, times, what each does, and what failed', () => {
    expect(renderBootTree(report)).toBe(
      [
        'plugbay 2 plugins running, 1 failed, 1 not started, in 143 ms',
        'wave 1',
        '├─ ● database 1.10.0 thread    41 ms load 8 ms · initialize 1 ms · start 3 ms',
        '│      provides   database',
        '└─ ● logger   1.0.0  inline   0.4 ms load 0.3 ms · initialize 0 ms · start 0.1 ms',
        '       subscribes **',
        'wave 2',
        '└─ ✗ users    1.0.0  failed    1.5 s load 8 ms · initialize 1 ms · start 3 ms',
        "       PLUGIN_START Plugin 'users': start threw: no port.",
        'left out',
        '└─ ○ old      1.0.0  disabled   0 ms',
      ].join('\n'),
    )
  })

  test('says the same with colour', () => {
    const colored = renderBootTree(report, { color: true })
    expect(colored).not.toBe(renderBootTree(report))
    expect(stripVTControlCharacters(colored)).toBe(renderBootTree(report))
  })

  test('of nothing is one line', () => {
    expect(renderBootTree({ ms: 1, waves: [], order: [], plugins: [] })).toBe('plugbay 0 plugins running, in 1 ms')
  })

  test('tells a fault that several share once', () => {
    const error = { code: 'DEPENDENCY_CYCLE', message: 'Plugins depend on each other in a circle: a → b → a.' }
    const plugins = ['a', 'b'].map((name) => plugin(name, { state: 'failed', wave: -1, error }))
    const lines = renderBootTree({ ms: 1, waves: [], order: [], plugins }).split('\n')
    expect(lines.filter((line) => line.includes('DEPENDENCY_CYCLE')).map((line) => line.replace(/^[│ ]*/, ''))).toEqual([
      `DEPENDENCY_CYCLE ${error.message}`,
      "DEPENDENCY_CYCLE as 'a'",
    ])
  })

  test('cuts long lists and says how much is missing', () => {
    const publishes = Array.from({ length: 50 }, (_, index) => `topic.number.${index}`)
    const one = { ms: 1, waves: [['a']], order: ['a'], plugins: [plugin('a', { publishes })] }
    const line = renderBootTree(one, { width: 40 }).split('\n').at(-1)
    expect(line).toBe('       publishes  topic.number.0, topic.number.1, and 48 more')
  })
})

test.each([
  [0, '0 ms'],
  [0.04, '0 ms'],
  [9.96, '10 ms'],
  [41.6, '42 ms'],
  [999, '999 ms'],
  [1234, '1.2 s'],
])('%d ms reads as %s', (ms, text) => {
  expect(duration(ms)).toBe(text)
})

describe('colour', () => {
  test.each([
    ['on a terminal', { isTTY: true }, {}, true],
    ['not on a pipe', {}, {}, false],
    ['not with NO_COLOR', { isTTY: true }, { NO_COLOR: '1' }, false],
    ['with an empty NO_COLOR as if it were not there', { isTTY: true }, { NO_COLOR: '' }, true],
    ['on a pipe with FORCE_COLOR', {}, { FORCE_COLOR: '1' }, true],
    ['not with FORCE_COLOR=0', { isTTY: true }, { FORCE_COLOR: '0' }, false],
    ['not with both', { isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    ['not on a dumb terminal', { isTTY: true }, { TERM: 'dumb' }, false],
  ])('%s', (_name, stream, env, wanted) => {
    expect(wantsColor(stream, env)).toBe(wanted)
  })

  test('does not depend on where the test runs', () => {
    expect(terminalStyle(true).red('x')).toBe('\u001B[31mx\u001B[39m')
    expect(terminalStyle(false).red('x')).toBe('x')
  })
})
