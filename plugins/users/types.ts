/** What other plugins see of the users, and of the database under them: imported for its types alone. */
import type {} from 'plugbay'

export interface User {
  id: string
  name: string
  email: string
  /** ISO-8601. */
  createdAt: string
}

export interface NewUser {
  name: string
  email: string
  /** Left out: a random one. */
  id?: string
}

export type UserChanges = Partial<Pick<User, 'name' | 'email'>>

export interface UsersService {
  /** Rejects with INVALID_USER or USER_EXISTS (as `code`). */
  create(user: NewUser): Promise<User>
  findById(id: string): Promise<User | null>
  findByEmail(email: string): Promise<User | null>
  /** All users by id, read a page at a time. */
  list(options?: { pageSize?: number }): AsyncIterable<User>
  /** Rejects with UNKNOWN_USER, INVALID_USER or USER_EXISTS. */
  update(id: string, changes: UserChanges): Promise<User>
  /** Whether there was one. */
  remove(id: string): Promise<boolean>
}

type Values = unknown[] | Record<string, unknown>

export interface DatabaseService {
  run(sql: string, values?: Values): { changes: number; lastInsertRowid: number }
  get(sql: string, values?: Values): unknown
  all(sql: string, values?: Values): unknown[]
  exec(sql: string): void
  migrate(owner: string, steps: readonly string[]): number
}

declare module 'plugbay' {
  interface Services {
    users: UsersService
    database: DatabaseService
  }
  interface Events {
    'user.created': User
    'user.updated': User
    'user.removed': { id: string }
  }
}
