/** Who decides where a plugin runs. */
import { describe, expect, test } from 'vitest'
import { placementOf } from '#src/kernel/manifest/isolation.js'
import { resolveOptions } from '#src/kernel/options/options.js'

const options = resolveOptions({ defaults: { isolation: 'inline' }, isolation: { pinned: 'thread' } })

describe('where a plugin runs', () => {
  test.each([
    ['the operator, over manifest and demotion', 'pinned', 'process', true, { isolation: 'thread', from: 'operator' }],
    ['its demotion, over its manifest', 'shop', 'thread', true, { isolation: 'process', from: 'demoted' }],
    ['its manifest, over the defaults', 'shop', 'thread', false, { isolation: 'thread', from: 'manifest' }],
    ['the defaults, where nobody else does', 'shop', undefined, false, { isolation: 'inline', from: 'default' }],
    ['nobody by a name that every object has', 'constructor', undefined, false, { isolation: 'inline', from: 'default' }],
  ] as const)('says %s', (_who, name, isolation, demoted, placement) => {
    expect(placementOf({ name, manifest: { isolation } }, options, demoted)).toEqual(placement)
  })

  test('is a place that there is: the options can name no other', () => {
    expect(() => resolveOptions({ isolation: { far: 'grpc' as never } })).toThrow(
      /isolation\.far: must be one of 'inline', 'thread', 'process', not 'grpc'/,
    )
    expect(() => resolveOptions({ defaults: { isolation: 'grpc' as never } })).toThrow(/defaults\.isolation: must be one of/)
  })
})
