/** Who decides where a plugin runs. */
import { describe, expect, test } from 'vitest'
import { isolationUnavailable, placementOf } from '#src/kernel/isolation.js'
import { resolveOptions } from '#src/kernel/options.js'

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

  test('is told with who asked, where there is no such place', () => {
    expect(isolationUnavailable('far', { isolation: 'grpc', from: 'manifest' }).message).toContain("Plugin 'far' asks for isolation 'grpc'")
    expect(isolationUnavailable('far', { isolation: 'grpc', from: 'operator' }).message).toContain(
      "options (isolation.far) ask for isolation 'grpc'",
    )
    expect(isolationUnavailable('far', { isolation: 'grpc', from: 'default' }).message).toContain('(defaults.isolation)')
  })
})
