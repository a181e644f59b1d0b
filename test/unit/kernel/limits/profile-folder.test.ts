import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { KEPT, keepProfile } from '#src/kernel/limits/profile-folder.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

const profile = { nodes: [], startTime: 1, endTime: 2, samples: [], timeDeltas: [] }

test('a profile is written as it is, into a folder that is made for it', async () => {
  const folder = join(emptyFolder(), 'data', '.profiles')
  const path = (await keepProfile(folder, 'orders', 3, profile)) ?? ''
  expect(dirname(path)).toBe(folder)
  expect(basename(path)).toMatch(/-orders-3\.cpuprofile$/)
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(profile)
})

test('the newest are kept, and other files are left alone', async () => {
  const folder = emptyFolder()
  writeFileSync(join(folder, '0.txt'), '')
  for (let year = 2000; year < 2000 + KEPT; year++) writeFileSync(join(folder, `${year}-p-1.cpuprofile`), '{}')
  const path = await keepProfile(folder, 'p', 2, profile)
  const left = readdirSync(folder)
  expect(left).toHaveLength(KEPT + 1)
  expect(left).toContain('0.txt')
  expect(left).toContain(basename(path ?? ''))
  expect(left).not.toContain('2000-p-1.cpuprofile')
})

test('where nothing can be written, nothing is thrown', async () => {
  const folder = join(emptyFolder(), 'file')
  writeFileSync(folder, '')
  expect(await keepProfile(folder, 'p', 1, profile)).toBeUndefined()
})
