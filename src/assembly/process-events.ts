import type { Log } from '../kernel/ports.ts'

export interface ProcessEventsDeps {
  readonly log: Log
  /** SIGTERM, SIGINT. */
  readonly stop: () => void
  /** SIGHUP: reopen what was rotated away, look for new keys. */
  readonly reload: () => void
  /** Right before the process ends: nothing asynchronous runs any more. */
  readonly flush: () => void
}

/** Signals, and the last resort for what nobody caught. `forget` takes the listeners back, so that a process may start several gateways in turn. */
export const onProcessEvents = ({ log, stop, reload, flush }: ProcessEventsDeps): { readonly forget: () => void } => {
  const onStop = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'signal received')
    stop()
  }
  const onReload = (): void => {
    log.info({ signal: 'SIGHUP' }, 'signal received')
    reload()
  }
  // One request's mistake must not end everybody's sessions; what the error says stays unsaid, it may hold anything.
  const onRejection = (error: unknown): void => log.error(factsOf(error), 'a promise was rejected and nobody looked')
  // After this the process may be half done with anything: leave, and let the platform start a clean one.
  const onException = (error: unknown): void => {
    log.error(factsOf(error), 'an exception was not caught')
    process.exitCode = 1
    stop()
  }
  const listeners = [
    ['SIGTERM', onStop],
    ['SIGINT', onStop],
    ['SIGHUP', onReload],
    ['unhandledRejection', onRejection],
    ['uncaughtException', onException],
    ['exit', flush],
  ] as const
  for (const [event, listener] of listeners) process.on(event, listener)
  return {
    forget: () => {
      for (const [event, listener] of listeners) process.off(event, listener)
    },
  }
}

/** Its class and where it came from, never its message. */
const factsOf = (error: unknown): { readonly reason: string; readonly file: string } => ({
  reason: error instanceof Error ? error.name : 'not an error',
  file: (error instanceof Error && /\bat .*?([\w.-]+\.[cm]?[jt]s:\d+)/.exec(error.stack ?? '')?.[1]) || 'unknown',
})
