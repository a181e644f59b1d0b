/** Keeps the users of the application: create, read, update and remove them, and tell of it. */
import { definePlugin, type PluginContext } from 'plugbay/plugin'
import type { NewUser, User, UserChanges, UsersService } from './types.ts'

const STEPS = [
  'CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE COLLATE NOCASE, createdAt TEXT NOT NULL)',
]

/** The code survives the way to the caller. */
const failure = (code: 'INVALID_USER' | 'USER_EXISTS' | 'UNKNOWN_USER', message: string): Error =>
  Object.assign(new Error(message), { code })

const text = (field: string, value: unknown, longest: number): string => {
  if (typeof value !== 'string' || value.trim() === '' || value.length > longest) {
    throw failure('INVALID_USER', `A user's ${field} is a text of 1 to ${longest} characters, not ${JSON.stringify(value)}.`)
  }
  return value.trim()
}

const checked = ({ name, email, id }: NewUser): Required<NewUser> => {
  const address = text('email', email, 254)
  if (!/^[^\s@]+@[^\s@]+$/.test(address))
    throw failure('INVALID_USER', `A user's email looks like name@example.org, not ${JSON.stringify(email)}.`)
  return { name: text('name', name, 200), email: address, id: id === undefined ? crypto.randomUUID() : text('id', id, 64) }
}

const makeUsers = async ({ bus, services }: PluginContext): Promise<UsersService> => {
  const database = await services.use('database', { range: '^1.0.0' })
  await database.migrate('users', STEPS)

  const write = async (sql: string, user: User): Promise<void> => {
    try {
      await database.run(sql, { ':id': user.id, ':name': user.name, ':email': user.email, ':createdAt': user.createdAt })
    } catch (error) {
      if (!String(error).includes('UNIQUE')) throw error
      const taken = String(error).includes('users.email') ? `email ${user.email}` : `id ${user.id}`
      throw failure('USER_EXISTS', `There is a user with the ${taken} already.`)
    }
  }
  const findById = async (id: string) => (await database.get('SELECT * FROM users WHERE id = ?', [id])) as User | null

  return {
    async create(given) {
      const user: User = { ...checked(given), createdAt: new Date().toISOString() }
      await write('INSERT INTO users (id, name, email, createdAt) VALUES (:id, :name, :email, :createdAt)', user)
      await bus.publish('user.created', user)
      return user
    },

    findById,

    async findByEmail(email) {
      return (await database.get('SELECT * FROM users WHERE email = ?', [email])) as User | null
    },

    // By the last id rather than by an offset: users who come and go meanwhile make none appear twice or not at all.
    async *list({ pageSize = 100 } = {}) {
      let last = ''
      for (;;) {
        const page = (await database.all('SELECT * FROM users WHERE id > ? ORDER BY id LIMIT ?', [last, pageSize])) as User[]
        yield* page
        const end = page.at(-1)
        if (end === undefined || page.length < pageSize) return
        last = end.id
      }
    },

    async update(id: string, changes: UserChanges) {
      const old = await findById(id)
      if (old === null) throw failure('UNKNOWN_USER', `There is no user ${id}.`)
      const user: User = { ...checked({ ...old, ...changes, id }), createdAt: old.createdAt }
      await write('UPDATE users SET name = :name, email = :email, createdAt = :createdAt WHERE id = :id', user)
      await bus.publish('user.updated', user)
      return user
    },

    async remove(id) {
      const { changes } = await database.run('DELETE FROM users WHERE id = ?', [id])
      if (changes > 0) await bus.publish('user.removed', { id })
      return changes > 0
    },
  }
}

export default definePlugin({
  async start(ctx) {
    await ctx.services.provide('users', await makeUsers(ctx), { version: ctx.version })
  },
})
