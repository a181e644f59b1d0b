import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dependencyFailed, type GraphNode, type Plan, plan } from '#src/kernel/plugins/dependency-graph.js'
import { fits } from '#src/versions.js'

/** `b > a c?` is plugin b, which needs a and would like c; `!x` excludes x, `-` in front disables. */
const parse = (line: string): GraphNode => {
  const [head = '', tail = ''] = line.split('>')
  const [name = '', version = '1.0.0'] = head.trim().replace(/^-/, '').split('@')
  const links = tail.split(' ').filter(Boolean)
  const pick = (test: (link: string) => boolean) =>
    Object.fromEntries(
      links.filter(test).map((link) => {
        const [target = '', range = '*'] = link.replace(/[!?]/g, '').split('@')
        return [target, range]
      }),
    )
  return {
    name,
    version,
    enabled: !head.trim().startsWith('-'),
    dependencies: pick((link) => !/[!?]/.test(link)),
    optionalDependencies: pick((link) => link.endsWith('?')),
    conflicts: pick((link) => link.startsWith('!')),
  }
}
const planned = (...lines: string[]): Plan => plan(lines.map(parse))
const codes = ({ excluded }: Plan) => Object.fromEntries(Array.from(excluded, ([name, { code }]) => [name, code]))
const messageOf = (made: Plan, name: string): string => made.excluded.get(name)?.message ?? `${name} is not excluded`

describe('the order', () => {
  test('has every plugin after those it needs or likes', () => {
    const made = planned('c > b', 'b > a?', 'a', 'd')
    expect(made.order.indexOf('a')).toBeLessThan(made.order.indexOf('b'))
    expect(made.order.indexOf('b')).toBeLessThan(made.order.indexOf('c'))
    expect(made.waves).toEqual([['a', 'd'], ['b'], ['c']])
  })

  test('of nothing is nothing', () => {
    expect(plan([])).toMatchObject({ order: [], waves: [] })
  })

  test('binds an optional dependency where it is there and in range only', () => {
    expect(planned('b > a@^2?', 'a@1.0.0', 'd > gone?', '-e', 'f > e?').waves).toEqual([['a', 'b', 'd', 'f']])
    expect(planned('b > a@^1?', 'a@1.0.0').waves).toEqual([['a'], ['b']])
  })

  test('takes names for names, whatever objects are born with', () => {
    expect(planned('constructor > __proto__', '__proto__ > toString', 'toString').waves).toEqual([
      ['toString'],
      ['__proto__'],
      ['constructor'],
    ])
  })

  test('holds for a chain of 20,000', () => {
    const nodes = Array.from({ length: 20_000 }, (_, index) => parse(index === 0 ? 'p0' : `p${index} > p${index - 1}`))
    const { order, waves } = plan(nodes)
    expect(waves).toHaveLength(20_000)
    expect(order[0]).toBe('p0')
    expect(order.at(-1)).toBe('p19999')
  })
})

describe('a missing dependency', () => {
  test('is never said to be meant for the plugin itself', () => {
    expect(messageOf(planned('dep > tsp'), 'dep')).toMatch(/'tsp' \(\*\) is not there\.$/)
    expect(messageOf(planned('dep > tsp', 'tap'), 'dep')).toContain("Did you mean 'tap'?")
  })

  test('is DEPENDENCY_MISSING that lists all of them: range, what is there, the nearest name', () => {
    const made = planned('app > usres@^1.0.0 db@^2.0.0 off ok', 'users', 'db@1.4.0', '-off', 'ok')
    expect(codes(made)).toEqual({ app: 'DEPENDENCY_MISSING' })
    const message = messageOf(made, 'app')
    expect(message).toContain("Plugin 'app'")
    expect(message).toContain("'usres' (^1.0.0) is not there. Did you mean 'users'?")
    expect(message).toContain("'db' (^2.0.0) is there in version 1.4.0, which is outside the range")
    expect(message).toContain("'off' (*) is disabled")
    expect(message).not.toContain("'ok'")
    expect(made.excluded.get('app')).toMatchObject({
      plugin: 'app',
      details: {
        missing: [
          { name: 'db', range: '^2.0.0', version: '1.4.0' },
          { name: 'off', range: '*', version: '1.0.0', disabled: true },
          { name: 'usres', range: '^1.0.0' },
        ],
      },
    })
  })

  test('has one root cause for many victims', () => {
    const made = planned('a > gone', 'b > a', 'c > b', 'd > c a', 'e')
    expect(codes(made)).toEqual({ a: 'DEPENDENCY_MISSING', b: 'DEPENDENCY_FAILED', c: 'DEPENDENCY_FAILED', d: 'DEPENDENCY_FAILED' })
    for (const name of ['b', 'c', 'd']) {
      expect(made.excluded.get(name)).toMatchObject({ plugin: name, details: { root: 'a' } })
      expect(made.excluded.get(name)?.cause).toBe(made.excluded.get('a'))
      expect(messageOf(made, name)).toContain("'a'")
    }
    expect(messageOf(made, 'c')).not.toContain("'b'")
    expect(made.order).toEqual(['e'])
  })

  test('of its own outweighs a failed one', () => {
    expect(codes(planned('a > gone', 'b > a lost'))).toEqual({ a: 'DEPENDENCY_MISSING', b: 'DEPENDENCY_MISSING' })
  })

  test('leaves optional dependents running', () => {
    const made = planned('a > gone', 'b > a?')
    expect(made.order).toEqual(['b'])
  })
})

describe('a disabled plugin', () => {
  test('is neither started nor excluded, and may itself lack what it needs', () => {
    const made = planned('-a > gone', 'b')
    expect(made.order).toEqual(['b'])
    expect(codes(made)).toEqual({})
  })
})

describe('a circle', () => {
  test('is DEPENDENCY_CYCLE for its members, with its path', () => {
    const made = planned('a > b', 'b > c', 'c > a', 'd > c', 'e')
    expect(codes(made)).toEqual({ a: 'DEPENDENCY_CYCLE', b: 'DEPENDENCY_CYCLE', c: 'DEPENDENCY_CYCLE', d: 'DEPENDENCY_FAILED' })
    expect(messageOf(made, 'b')).toContain('a → b → c → a')
    expect(made.order).toEqual(['e'])
  })

  test('of one is said in words of its own', () => {
    expect(messageOf(planned('a > a'), 'a')).toContain('depends on itself')
  })

  test('names for each member one it is in', () => {
    const made = planned('a > b', 'b > a c', 'c > b')
    expect(messageOf(made, 'a')).toContain('a → b → a')
    expect(messageOf(made, 'c')).toContain('c → b → c')
  })

  test('of 20,000 is found, and its message stays short', () => {
    const nodes = Array.from({ length: 20_000 }, (_, index) => parse(`p${index} > p${(index + 1) % 20_000}`))
    const made = plan(nodes)
    expect(made.excluded.size).toBe(20_000)
    expect(messageOf(made, 'p7')).toContain('more …')
    expect(messageOf(made, 'p7').length).toBeLessThan(500)
  })

  test('gives up optional dependencies first', () => {
    const made = planned('a > b', 'b > a?', 'c > d?', 'd > c?')
    expect(codes(made)).toEqual({})
    expect(made.order.indexOf('b')).toBeLessThan(made.order.indexOf('a'))
    expect(made.loosened).toEqual([
      ['b', 'a'],
      ['c', 'd'],
    ])
  })

  test('gives up no optional dependency that closes none', () => {
    const made = planned('a > b', 'b > a? z?', 'z')
    expect(made.waves).toEqual([['z'], ['b'], ['a']])
    expect(made.loosened).toEqual([['b', 'a']])
  })
})

describe('a conflict', () => {
  test('leaves out the plugin that declares it, and says whom, which versions and what range', () => {
    const made = planned('a@2.1.0 > !b@^1', 'b@1.5.0')
    expect(codes(made)).toEqual({ a: 'DEPENDENCY_CONFLICT' })
    expect(messageOf(made, 'a')).toMatch(/'a' 2\.1\.0 cannot run beside 'b' 1\.5\.0.*\^1/)
  })

  test('of two that exclude each other leaves out the later name', () => {
    expect(codes(planned('a > !b', 'b > !a'))).toEqual({ b: 'DEPENDENCY_CONFLICT' })
  })

  test('outside its range, with a plugin that is not there, disabled or excluded itself, is none', () => {
    expect(codes(planned('a > !b@^2 !gone !off !x', 'b@1.0.0', '-off', 'x > lost'))).toEqual({ x: 'DEPENDENCY_MISSING' })
  })

  test('takes its dependents with it', () => {
    expect(codes(planned('a > !b', 'b', 'c > a'))).toEqual({ a: 'DEPENDENCY_CONFLICT', c: 'DEPENDENCY_FAILED' })
  })
})

describe('who waits for whom', () => {
  const made = planned('a', 'b > a', 'c > b', 'd > a?', 'e')

  test('dependentsOf lists all that need a plugin, the last started first', () => {
    expect(made.dependentsOf('a')).toEqual(['c', 'b'])
    expect(made.dependentsOf('e')).toEqual([])
    expect(made.dependentsOf('gone')).toEqual([])
  })

  test('dependenciesOf lists what a plugin waits for, optional ones too', () => {
    expect(made.dependenciesOf('d')).toEqual(['a'])
    expect(made.dependenciesOf('c')).toEqual(['b'])
  })
})

test.each([
  ['1.0.0', '*', true],
  ['1.0.0-beta', '*', true],
  ['1.0.0-beta', '', true],
  ['1.0.0-beta', '^1.0.0', false],
  ['1.2.0', '>=1 <2', true],
])('version %s is in range %j: %s', (version, range, expected) => {
  expect(fits(version, range)).toBe(expected)
})

test('a dependency that failed while running reads like one that failed in the plan', () => {
  const cause = new Error('x')
  expect(dependencyFailed('a', 'b', cause)).toMatchObject({ code: 'DEPENDENCY_FAILED', plugin: 'a', cause, details: { root: 'b' } })
})

describe('for any plugins', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')
  const range = fc.constantFrom('*', '^1.0.0', '^2.0.0')
  const ranges = (size: number) => fc.dictionary(name, range, { maxKeys: size })
  const node: fc.Arbitrary<GraphNode> = fc.record({
    name,
    version: fc.constantFrom('1.0.0', '2.0.0'),
    dependencies: ranges(2),
    optionalDependencies: ranges(3),
    conflicts: fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: ranges(1) }),
    enabled: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  })
  const nodes = fc.uniqueArray(node, { selector: (each) => each.name, maxLength: 10 })
  const needs = (each: GraphNode) => Object.keys(each.dependencies ?? {})

  test('each enabled one is either in the order, once, or excluded', () => {
    fc.assert(
      fc.property(nodes, (given) => {
        const made = plan(given)
        const enabled = given.filter((each) => each.enabled !== false).map((each) => each.name)
        expect([...made.order, ...made.excluded.keys()].sort()).toEqual(enabled.sort())
        expect(made.waves.flat().sort()).toEqual([...made.order].sort())
      }),
    )
  })

  test('order and waves respect every edge, and no wave is later than it must be', () => {
    fc.assert(
      fc.property(nodes, (given) => {
        const made = plan(given)
        const position = new Map(made.order.map((each, index) => [each, index]))
        const wave = new Map(made.waves.flatMap((names, index) => names.map((each): [string, number] => [each, index])))
        for (const each of given.filter((one) => position.has(one.name))) {
          const waitsFor = made.dependenciesOf(each.name)
          expect(waitsFor).toEqual(expect.arrayContaining(needs(each)))
          for (const target of waitsFor) expect(position.get(target)).toBeLessThan(position.get(each.name) ?? -1)
          expect(wave.get(each.name)).toBe(Math.max(-1, ...waitsFor.map((target) => wave.get(target) ?? Number.NaN)) + 1)
        }
      }),
    )
  })

  test('an optional dependency is waited for unless it was loosened, and then only within a circle', () => {
    fc.assert(
      fc.property(nodes, (given) => {
        const made = plan(given)
        const running = new Map(given.filter((each) => made.order.includes(each.name)).map((each) => [each.name, each]))
        const likes = (each: GraphNode) =>
          Object.entries(each.optionalDependencies ?? {}).flatMap(([target, wanted]) => {
            const there = running.get(target)
            return there && target !== each.name && fits(there.version, wanted) ? [target] : []
          })
        const reaches = (from: string, to: string, seen = new Set<string>()): boolean => {
          const each = running.get(from)
          if (from === to || !each || seen.has(from)) return from === to
          seen.add(from)
          return [...needs(each), ...likes(each)].some((next) => reaches(next, to, seen))
        }
        const loosened = made.loosened.map(([from, to]) => `${from} ${to}`)
        for (const each of running.values()) {
          for (const target of likes(each)) {
            const waited = made.dependenciesOf(each.name).includes(target)
            expect(waited).toBe(!loosened.includes(`${each.name} ${target}`))
            if (!waited) expect(reaches(target, each.name)).toBe(true)
          }
        }
      }),
    )
  })

  test('what is excluded takes its dependents with it, and every exclusion has a reason', () => {
    fc.assert(
      fc.property(nodes, (given) => {
        const made = plan(given)
        for (const each of given) {
          if (each.enabled === false) continue
          const failed = needs(each).filter((target) => !made.order.includes(target))
          if (failed.length > 0) expect(made.excluded.has(each.name)).toBe(true)
          const error = made.excluded.get(each.name)
          if (!error) continue
          expect(error.plugin).toBe(each.name)
          if (error.code !== 'DEPENDENCY_FAILED') continue
          const root = made.excluded.get(String(error.details?.['root']))
          expect(error.cause).toBe(root)
          expect(root?.code).toMatch(/^DEPENDENCY_(MISSING|CYCLE|CONFLICT)$/)
        }
      }),
    )
  })

  test('the plan does not depend on the order they are given in', () => {
    fc.assert(
      fc.property(
        nodes.chain((given) => fc.tuple(fc.constant(given), fc.shuffledSubarray(given, { minLength: given.length }))),
        ([given, shuffled]) => {
          const read = (made: Plan) => ({
            order: made.order,
            waves: made.waves,
            loosened: made.loosened,
            excluded: Array.from(made.excluded, ([each, error]) => `${each} ${error.code} ${error.message}`).sort(),
          })
          expect(read(plan(shuffled))).toEqual(read(plan(given)))
        },
      ),
    )
  })
})
