import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { cacheHome, onPath } from '../harness/debs.ts'

/** What is tested against: one release, named by its content. Raise both together. */
export const KEYCLOAK = { version: '26.7.2', sha256: '744ced2aee48932be2de935ff380085ebded737655c0986aa3512bbcec62f69b' } as const
const MAVEN_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy'
const JAVA_AT_LEAST = 17

/** Why Keycloak cannot run here, in words for the one line that says so. */
export class NotHereError extends Error {}

/**
 * Keycloak's distribution, from Maven Central by the machine's own Maven (its mirrors and proxies apply), checked, unpacked into the cache once.
 * Unpacked aside and renamed: a half-made folder is never used; of two runs at once the first wins.
 * @throws NotHereError where something it takes is missing
 */
export const findKeycloak = async (): Promise<string> => {
  const java = javaVersion()
  if (java === undefined) throw new NotHereError('there is no Java here')
  if (java < JAVA_AT_LEAST) throw new NotHereError(`Java ${java} is here, and Keycloak takes ${JAVA_AT_LEAST}`)
  const home = join(cacheHome(), `keycloak-${KEYCLOAK.version}`)
  if (existsSync(home)) return home
  const unpack = onPath('unzip') ?? onPath('jar')
  if (!onPath('mvn')) throw new NotHereError('there is no Maven here')
  if (!unpack) throw new NotHereError('there is neither unzip nor jar here')

  process.stdout.write(`[keycloak] fetching ${KEYCLOAK.version} (180 MB) with Maven into ${dirname(home)}, once\n`)
  mkdirSync(dirname(home), { recursive: true })
  const work = mkdtempSync(`${home}.making-`)
  try {
    const zip = fetch(work)
    if ((await sha256(zip)) !== KEYCLOAK.sha256)
      throw new Error('what Maven brought is not the Keycloak that was asked for: its SHA-256 differs')
    execFileSync(unpack.bin, unpack.bin.endsWith('jar') ? ['xf', zip] : ['-q', zip], { cwd: work, timeout: 120_000, stdio: 'pipe' })
    try {
      renameSync(join(work, `keycloak-${KEYCLOAK.version}`), home)
    } catch (error) {
      if (!existsSync(home)) throw error
    }
    return home
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** In a folder without a pom; `--strict-checksums`: what differs from the repository's own checksum is no answer either. */
const fetch = (work: string): string => {
  const artifact = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK.version}:zip`
  const { status, stdout, error } = spawnSync(
    'mvn',
    ['--batch-mode', '--quiet', '--strict-checksums', MAVEN_PLUGIN, `-Dartifact=${artifact}`, `-DoutputDirectory=${work}`],
    { cwd: work, encoding: 'utf8', timeout: 240_000 },
  )
  const zip = join(work, `keycloak-quarkus-dist-${KEYCLOAK.version}.zip`)
  if (status === 0 && existsSync(zip)) return zip
  // Its words name hosts and folders of this machine; the first line of them is enough to go on, and it goes to the terminal only.
  const why = stdout.split('\n').find((line) => line.includes('ERROR')) ?? error?.message ?? 'no reason given'
  throw new NotHereError(`Maven could not bring it: ${why.slice(0, 300)}`)
}

const sha256 = async (file: string): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** Of the Java that `kc.sh` would take: JAVA_HOME before PATH. */
const javaVersion = (): number | undefined => {
  const home = process.env['JAVA_HOME']
  const { stderr } = spawnSync(home ? join(home, 'bin/java') : 'java', ['-version'], { encoding: 'utf8', timeout: 20_000 })
  const major = /version "(\d+)/.exec(stderr ?? '')?.[1]
  return major === undefined ? undefined : Number(major)
}
