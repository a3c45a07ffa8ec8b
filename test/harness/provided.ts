import type { Program } from './debs.ts'

/** What the global set-ups hand to the test workers. `null`: not to be had here. */
declare module 'vitest' {
  interface ProvidedContext {
    /** A Redis shared by all workers; each takes its own key prefix. */
    redisUrl: string | null
    /** For tests that freeze or restart a Redis of their own (`startRedis`). */
    redisProgram: Program | null
    /** Ports of the nodes of a Cluster; provided to the contract group only. */
    redisCluster: readonly number[] | null
    /** Ports of the sentinels; provided to the contract group only. */
    redisSentinels: readonly number[] | null
    /** Provided to the contract group only. */
    valkeyUrl: string | null
    /** What `launchBrowser` starts; provided to the browser group only. */
    chromium: Program | null
  }
}
