import { subscribe } from 'node:diagnostics_channel'

/** Of the requests that a server of this process took and sent on to `upstream`: how many it sent on before anything else could run. */
export interface SameTick {
  readonly atOnce: number
  readonly later: number
}

/**
 * Node tells of a request before any handler of ours sees it, undici when it is given one to send: both in the middle of what they do. A microtask is
 * queued at the first. Whoever awaits between the two, be it a promise that is fulfilled already, lets that microtask run.
 * @param upstream the origin requests are sent on to
 */
export const watchSameTick = (upstream: (origin: string) => boolean): (() => SameTick) => {
  let isFirst = false
  let atOnce = 0
  let later = 0
  subscribe('http.server.request.start', () => {
    isFirst = true
    queueMicrotask(() => {
      isFirst = false
    })
  })
  subscribe('undici:request:create', (message) => {
    const { request } = message as { readonly request: { readonly origin: string | URL } }
    if (!upstream(String(request.origin))) return
    if (isFirst) atOnce += 1
    else later += 1
  })
  return () => ({ atOnce, later })
}
