import type { Route } from '../domain/route.ts'
import type { Log } from '../kernel/ports.ts'
import { systemClock } from '../kernel/time.ts'
import type { Clock } from '../kernel/time.ts'
import type { Agents } from '../proxy/agents.ts'
import { readTlsPair, watchTlsPair } from './tls-listener.ts'

/**
 * What routes prove themselves with to their upstreams (`routes[].tls.certificate_file`), read now and watched from here on; each file once.
 * @throws StartError when two files are no pair
 */
export const watchUpstreamPairs = (
  routes: readonly Pick<Route, 'tls'>[],
  agents: Pick<Agents, 'use'>,
  log: Log,
  clock: Clock = systemClock,
) => {
  const clients = new Map(routes.flatMap(({ tls: { client } }) => (client ? [[client.certificateFile, client] as const] : [])))
  return [...clients.values()].map((files) => {
    const first = readTlsPair(files, SETTING)
    agents.use(files.certificateFile, first)
    return watchTlsPair({ files, first, use: (pair) => agents.use(files.certificateFile, pair), clock, log, setting: SETTING })
  })
}
const SETTING = 'routes.tls'
