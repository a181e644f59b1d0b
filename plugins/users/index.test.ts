import { createTestKernel, type TestKernel } from 'plugbay/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { User } from './types.ts'

const plugin = new URL('.', import.meta.url)
const database = new URL('../database', import.meta.url)
let kernel: TestKernel | undefined
afterEach(() => kernel?.stop())

const ada = { name: 'Ada', email: 'ada@example.org' }

describe('on the real database', () => {
  const setUp = async () => {
    const started = await createTestKernel({ plugins: [plugin, database] })
    kernel = started
    return { kernel: started, users: await started.services.use('users') }
  }
  let at: Awaited<ReturnType<typeof setUp>>
  beforeEach(async () => {
    at = await setUp()
  })

  test('a user that was created is found by id and by email, whatever its case', async () => {
    const user = await at.users.create(ada)
    expect(user).toMatchObject(ada)
    expect(await at.users.findById(user.id)).toEqual(user)
    expect(await at.users.findByEmail('ADA@example.org')).toEqual(user)
    expect(await at.users.findById('nobody')).toBeNull()
  })

  test('what happens to a user is published', async () => {
    const { id } = await at.users.create({ ...ada, id: 'u1' })
    await at.users.update(id, { name: 'Ada L.' })
    expect(await at.users.remove(id)).toBe(true)
    expect(await at.users.remove(id)).toBe(false)
    await at.kernel.expectEvent('user.removed')
    expect(at.kernel.published.map(({ type, source, data }) => [type, source, data.id, data.name])).toEqual([
      ['user.created', 'users', 'u1', 'Ada'],
      ['user.updated', 'users', 'u1', 'Ada L.'],
      ['user.removed', 'users', 'u1', undefined],
    ])
  })

  test.each([
    [{ name: '', email: 'a@b' }, 'name'],
    [{ name: 'Ada', email: 'nonsense' }, 'email'],
    [{ name: 'x'.repeat(201), email: 'a@b' }, 'name'],
    [{ name: 7, email: 'a@b' } as never, 'name'],
  ])('%j is refused for its %s', async (user, field) => {
    await expect(at.users.create(user)).rejects.toMatchObject({ code: 'INVALID_USER', message: expect.stringContaining(field) })
    expect(at.kernel.published).toEqual([])
  })

  test('an email belongs to one user', async () => {
    await at.users.create(ada)
    const { id } = await at.users.create({ name: 'Bob', email: 'bob@example.org' })
    await expect(at.users.create(ada)).rejects.toMatchObject({ code: 'USER_EXISTS' })
    await expect(at.users.update(id, { email: ada.email })).rejects.toMatchObject({ code: 'USER_EXISTS' })
    await expect(at.users.update('nobody', {})).rejects.toMatchObject({ code: 'UNKNOWN_USER' })
  })

  test('all users are listed, page after page, also when one is removed in between', async () => {
    for (let i = 0; i < 7; i++) await at.users.create({ id: `u${i}`, name: `User ${i}`, email: `u${i}@example.org` })
    const seen: string[] = []
    for await (const user of await at.users.list({ pageSize: 3 })) {
      seen.push(user.id)
      if (user.id === 'u1') await at.users.remove('u0')
    }
    expect(seen).toEqual(['u0', 'u1', 'u2', 'u3', 'u4', 'u5', 'u6'])
  })
})

test('a stub stands in for the database', async () => {
  const rows: User[] = []
  kernel = await createTestKernel({
    plugins: plugin,
    services: {
      database: {
        migrate: () => 1,
        run: (_sql: string, values: Record<string, string>) => rows.push({ id: values[':id'], name: values[':name'] } as User),
      },
    },
  })
  const users = await kernel.services.use('users')
  await users.create({ ...ada, id: 'u1' })
  expect(rows).toEqual([{ id: 'u1', name: 'Ada' }])
})
