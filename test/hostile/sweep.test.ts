/**
 * Each function that a plugin without grants reaches in its realm is called in many a wrong way: no call ends the process. What ends the
 * plugin is its own affair.
 */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { emptyFolder } from '../support/plugin-folder.js'

/** The least number of functions that a Node has for it. */
const MANY = 1_500

it('no function that a plugin reaches without a grant ends the process, whatever it is given', { timeout: 300_000 }, async () => {
  const application = fileURLToPath(new URL('sweep/application.js', import.meta.url))
  const child = spawn(process.execPath, [application, emptyFolder()], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  const [said, failed] = await Promise.all([text(child.stdout), text(child.stderr)])
  const called = said.split('\n').filter((line) => /^\d/.test(line))
  expect({ end: await ended, last: said.trimEnd().split('\n').at(-1), failed }).toMatchObject({ end: 0, last: 'done' })
  expect(called.length).toBeGreaterThan(MANY)
})
