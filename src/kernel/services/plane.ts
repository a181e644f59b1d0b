/** What all plugins of one kernel share: the bus, the services, and the direct lines between those who provide and those who use them. */
import { Stamp } from '../../bus/event.js'
import { EventBus } from '../../bus/event-bus.js'
import { ServiceRegistry } from '../../bus/service-registry.js'
import type { FailureListener } from '../../bus/subscription-options.js'
import { packedEvent } from './packed-event.js'
import { ServiceBroker } from './service-broker.js'

export interface Plane {
  bus: EventBus
  stamp: Stamp
  registry: ServiceRegistry
  broker: ServiceBroker
}

/**
 * `source` is whom events come from that the embedder publishes. `comesBack`: whether the services of a plugin that is gone are kept for
 * it.
 */
export const makePlane = (source: string, onFailure: FailureListener, comesBack: (plugin: string) => boolean): Plane => {
  const stamp = new Stamp()
  const registry = new ServiceRegistry(comesBack)
  return {
    bus: new EventBus({ source, stamp, seal: (event) => packedEvent(event, stamp.ids), onFailure }),
    stamp,
    registry,
    broker: new ServiceBroker(registry),
  }
}

/** What is still registered under a plugin's name. */
export const leftOf = (plugin: string, { bus, registry, broker }: Plane): string[] => {
  const services = registry.list().filter(({ provider }) => provider === plugin)
  const subscriptions = bus.subscriptionsOf(plugin)
  const uses = broker.usesOf(plugin)
  return [
    ...services.map(({ name, version }) => `service ${name}@${version}`),
    ...subscriptions.map(({ pattern }) => `subscription to ${pattern}`),
    ...(uses > 0 ? [`${uses} used services`] : []),
  ]
}
