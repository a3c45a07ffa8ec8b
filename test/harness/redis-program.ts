import { execFileSync } from 'node:child_process'
import { libraryDirs, onPath, type Program, unpackDebs } from './debs.ts'

/** `redis-server` is a symlink into redis-tools: both are named. Throws when the unpacked program does not run here. */
const fromPackages = (): Program => {
  const root = unpackDebs({ name: 'redis-1', packages: ['redis-server', 'redis-tools'] })
  const program = { bin: `${root}/usr/bin/redis-server`, env: { LD_LIBRARY_PATH: libraryDirs(root).join(':') }, how: 'Debian packages' }
  execFileSync(program.bin, ['--version'], { env: { ...process.env, ...program.env }, stdio: 'ignore', timeout: 30_000 })
  return program
}

/** Debian 12 has it among what was built for it later, the releases after it have it themselves. @throws when there is none to be had */
export const findValkey = (): Program => {
  const installed = onPath('valkey-server')
  if (installed) return installed
  const root = unpackDebs({ name: 'valkey-1', packages: ['valkey-server', 'valkey-tools'], backports: true })
  const program = { bin: `${root}/usr/bin/valkey-server`, env: { LD_LIBRARY_PATH: libraryDirs(root).join(':') }, how: 'Debian packages' }
  execFileSync(program.bin, ['--version'], { env: { ...process.env, ...program.env }, stdio: 'ignore', timeout: 30_000 })
  return program
}

export const installedRedis = (): Program | undefined => onPath('redis-server', 'valkey-server')

/** A program to start Redis from: installed, or unpacked from packages. For tests and for scripts without vitest. @throws when there is none to be had */
export const findRedis = (): Program => installedRedis() ?? fromPackages()
