/** What publish and subscribe know about registered events: checked by tsc alone, never run. */
import type { Event } from '#src/bus/event.js'
import type { EventBus } from '#src/bus/event-bus.js'
import type { EventOf, TopicsOf } from '#src/bus/typed-events.js'

declare module '#src/bus/typed-events.js' {
  interface Events {
    'user.login': { userId: string }
    'user.logout': { userId: string; reason: 'timeout' | 'request' }
    'user.profile.changed': { fields: string[] }
    'order.created': { total: number }
    'clock.tick': undefined
    alarm: { level: number }
  }
}

/** True when the two are the same type, `any` told apart. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type IsAny<T> = 0 extends 1 & T ? true : false
const holds = <_ extends true>(): void => {}

type Login = Event<{ userId: string }, 'user.login'>
type Logout = Event<{ userId: string; reason: 'timeout' | 'request' }, 'user.logout'>
type Changed = Event<{ fields: string[] }, 'user.profile.changed'>

// A star is exactly one segment.
holds<Same<TopicsOf<'user.*'>, 'user.login' | 'user.logout'>>()
holds<Same<TopicsOf<'*.*'>, 'user.login' | 'user.logout' | 'order.created' | 'clock.tick'>>()
holds<Same<TopicsOf<'*'>, 'alarm'>>()
holds<Same<TopicsOf<'*.profile.*'>, 'user.profile.changed'>>()

// Two stars are any number, also none, anywhere.
holds<Same<TopicsOf<'user.**'>, 'user.login' | 'user.logout' | 'user.profile.changed'>>()
holds<Same<TopicsOf<'**.changed'>, 'user.profile.changed'>>()
holds<Same<TopicsOf<'user.**.changed'>, 'user.profile.changed'>>()
holds<Same<TopicsOf<'**.profile.**'>, 'user.profile.changed'>>()
holds<Same<TopicsOf<'alarm.**'>, 'alarm'>>()
holds<Same<TopicsOf<'**.user.login.**'>, 'user.login'>>()
holds<Same<TopicsOf<'**.*.*'>, Exclude<TopicsOf<'**'>, 'alarm'>>>()
holds<Same<TopicsOf<'**'>, 'user.login' | 'user.logout' | 'user.profile.changed' | 'order.created' | 'clock.tick' | 'alarm'>>()
holds<Same<TopicsOf<'user.login.*'>, never>>()

// A pattern brings the union of its events; what is not registered brings any.
holds<Same<EventOf<'user.login'>, Login>>()
holds<Same<EventOf<'user.*'>, Login | Logout>>()
holds<Same<EventOf<'user.**'>, Login | Logout | Changed>>()
// An event has five members, in a plugin as in the application, and whoever tests a handler writes one.
holds<Same<keyof Login, 'id' | 'type' | 'source' | 'time' | 'data'>>()
holds<Same<{ id: string; type: 'user.login'; source: string; time: string; data: { userId: string } } extends Login ? 1 : 0, 1>>()
holds<IsAny<EventOf<'not.registered'>['data']>>()
holds<IsAny<EventOf<'other.**'>['data']>>()
holds<IsAny<EventOf<string>['data']>>()

declare const bus: EventBus
declare const text: string

// The handler's event narrows by its type.
bus.subscribe('user.*', (event) => {
  holds<Same<typeof event.data.userId, string>>()
  // @ts-expect-error only one of the two has a reason
  void event.data.reason
  if (event.type === 'user.logout') holds<Same<typeof event.data.reason, 'timeout' | 'request'>>()
  // @ts-expect-error no event of this pattern has that type
  if (event.type === 'order.created') return
  // @ts-expect-error events are not to be written to
  event.source = 'me'
})
bus.subscribe('**.changed', ({ data }) => holds<Same<typeof data, { fields: string[] }>>())
bus.subscribe('not.registered', ({ data }) => holds<IsAny<typeof data>>())
bus.subscribe(text, ({ data }) => holds<IsAny<typeof data>>())

// Handlers may be async and may return anything; filters see the same events.
bus.subscribe('user.login', async () => {})
bus.subscribe('user.login', (event) => event.data.userId.length, { filter: (event) => event.data.userId !== '' })
// @ts-expect-error the filter's event has no such field
bus.subscribe('user.login', () => {}, { filter: (event) => event.data.nobody })
// @ts-expect-error there is no such option
bus.subscribe('user.login', () => {}, { capcity: 5 })
// @ts-expect-error a handler for other data does not fit
bus.subscribe('user.login', (event: Event<number>) => event.data)

// Iterating brings the same union.
export const loop = async (): Promise<void> => {
  for await (const event of bus.subscribe('user.**', { capacity: 8 })) holds<Same<typeof event, Login | Logout | Changed>>()
  for await (const event of bus.subscribe('user.login')) holds<Same<typeof event, Login>>()
}

// Publishing checks the data of registered topics.
void bus.publish('user.login', { userId: '7' })
void bus.publish('user.login', { userId: '7' }, { source: 'web' })
// @ts-expect-error the data is missing
void bus.publish('user.login')
// @ts-expect-error the data is of the wrong type
void bus.publish('user.login', { userId: 7 })
// @ts-expect-error the data has a field too many
void bus.publish('user.login', { userId: '7', password: 'x' })
void bus.publish('clock.tick')
void bus.publish('clock.tick', undefined, { source: 'clock' })
// @ts-expect-error this one carries nothing
void bus.publish('clock.tick', 5)
// What is not registered is free.
void bus.publish('not.registered')
void bus.publish('not.registered', Math.random(), { source: 'web' })
void bus.publish(text, { anything: true })
// @ts-expect-error but options are still checked
void bus.publish('not.registered', 1, { sourse: 'web' })
