/** How the command answers a wrong call. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bin, folderWith, plugbay, root } from '../../support/command.js'

test.each([
  [['chek'], "Unknown command 'chek'. Did you mean 'check'?"],
  [['check', '--jsn'], "Unknown option '--jsn'. Did you mean '--json'?"],
  [['graph', '--format', 'png'], "'png' is invalid. Allowed choices are text, mermaid, dot."],
  [['new', 'plugn', 'x'], "Unknown command 'plugn'. Did you mean 'plugin'?"],
  [['new', 'plugin'], "Missing required argument 'name'."],
  [['list', 'a', 'b'], "Too many arguments for 'list'."],
  [['list', './nowhere'], 'There is no folder'],
])('plugbay %j is a wrong call: exit 2, with the likely mend', async (args, says) => {
  const { code, stdout, stderr } = await plugbay(args, folderWith())
  expect(stderr).toContain(`USAGE`)
  expect(stderr).toContain(says)
  expect(stdout).toBe('')
  expect(code).toBe(2)
})

test('without arguments it shows its help, and exits 2', async () => {
  const { code, stderr } = await plugbay([], folderWith())
  expect(stderr).toContain('Usage: plugbay')
  for (const command of ['new', 'check', 'list', 'graph', 'dev', 'start', 'audit'])
    expect(stderr).toMatch(new RegExp(`^  ${command} `, 'm'))
  expect(code).toBe(2)
})

test.each([['--help'], ['check', '--help'], ['new', 'plugin', '--help']])('help is an answer: %s', async (...args) => {
  const { code, stdout, stderr } = await plugbay(args, folderWith())
  expect(stdout).toContain('Usage: plugbay')
  expect(stderr).toBe('')
  expect(code).toBe(0)
})

test('says its version', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  expect(await plugbay(['--version'], folderWith())).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

test('starts with a line that lets it be run by its name', () => {
  expect(readFileSync(bin, 'utf8').split('\n', 1)[0]).toBe('#!/usr/bin/env node')
})
