/** A configuration file that never comes to its end, or leaves something running. */
import { expect, test } from 'vitest'
import { folderWith, plugbay, pluginsWith } from '../../support/command.js'

/** Brings the time limit near: ten seconds are 20 ms. */
const SOON = {
  NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(
    'const real = setTimeout; globalThis.setTimeout = (work, time, ...more) => real(work, time === 10_000 ? 20 : time, ...more)',
  )}`,
}

test.each([
  ['waits for nothing', 'await new Promise(() => {})\nexport default {}'],
  ['keeps a timer', 'setInterval(() => {}, 1_000)\nawait new Promise(() => {})\nexport default {}'],
])('a configuration file that %s and never comes to its end is told by each command', async (_what, text) => {
  const folder = folderWith({ 'plugbay.config.mjs': text })
  const outcomes = await Promise.all(['check', 'list', 'graph', 'dev', 'start'].map((command) => plugbay([command], folder, SOON)))
  for (const { code, stdout, stderr } of outcomes) {
    expect({ code, text: stdout + stderr }).toEqual({
      code: 1,
      text: expect.stringMatching(
        /OPTIONS_TIMEOUT\s.*plugbay\.config\.mjs did not come to its end within 10000 ms: .* top level/,
      ) as string,
    })
  }
})

test('what a configuration file leaves running does not hold the command', async () => {
  const folder = folderWith({ ...pluginsWith({ users: {} }), 'plugbay.config.mjs': 'setInterval(() => {}, 1_000)\nexport default {}' })
  expect(await plugbay(['check'], folder)).toMatchObject({ code: 0, stdout: '✓ 1 plugin in 1 wave would start; nothing to mend.\n' })
})
