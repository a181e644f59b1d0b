/** Permissions in the text of a manifest, the rest of it untouched. */
import { describe, expect, test } from 'vitest'
import { withPermissions } from '#src/cli/manifest-edit.js'

const ONE = [{ resource: 'bus:a.*', actions: ['publish', 'subscribe'] }]
const LINE = '{ "resource": "bus:a.*", "actions": ["publish", "subscribe"] }'

describe('the permissions of a manifest', () => {
  test.each([
    [
      'take the place of those that are there',
      '{\n  "permissions": [\n    {}\n  ],\n  "name": "p"\n}\n',
      `{\n  "permissions": [\n    ${LINE}\n  ],\n  "name": "p"\n}\n`,
    ],
    ['also at the end', '{\n  "name": "p",\n  "permissions": []\n}', `{\n  "name": "p",\n  "permissions": [\n    ${LINE}\n  ]\n}`],
    ['are added where there are none', '{\n\t"name": "p"\n}\n', `{\n\t"name": "p",\n\t"permissions": [\n\t\t${LINE}\n\t]\n}\n`],
    ['are added to nothing', '{}', `{\n  "permissions": [\n    ${LINE}\n  ]\n}`],
    [
      'are not those of a field within, nor of a text',
      '{\n  "config": { "permissions": [1] },\n  "description": "\\"permissions\\": {",\n  "main": "permissions"\n}',
      `{\n  "config": { "permissions": [1] },\n  "description": "\\"permissions\\": {",\n  "main": "permissions",\n  "permissions": [\n    ${LINE}\n  ]\n}`,
    ],
  ])('%s', (_what, before, after) => {
    const text = withPermissions(before, ONE)
    expect(text).toBe(after)
    expect(JSON.parse(text)).toEqual({ ...(JSON.parse(before) as object), permissions: ONE })
  })

  test('may be none', () => {
    expect(withPermissions('{\n  "permissions": [{}]\n}', [])).toBe('{\n  "permissions": []\n}')
  })
})
