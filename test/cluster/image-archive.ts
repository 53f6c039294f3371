/** Looks into archives of images, as `docker save` writes them. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface ImageFile {
  /** Without a leading slash. */
  readonly path: string;
  /** As `ls -l` shows it. */
  readonly mode: string;
  /** uid/gid */
  readonly owner: string;
}

interface ImageConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly WorkingDir: string;
}

export class ImageArchive {
  private constructor(
    /** What a node knows the image by. */
    readonly id: string,
    readonly config: ImageConfig,
    readonly files: readonly ImageFile[],
    private readonly root: string,
  ) {}

  /** @param folder for what is unpacked of it: what lies below /app */
  static async open(file: string, folder: string): Promise<ImageArchive> {
    const root = join(folder, 'root');
    await mkdir(root, { recursive: true });
    await run('tar', ['-xf', file, '-C', folder]);
    const [manifest] = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as [
      { Config: string; Layers: string[] },
    ];
    const files: ImageFile[] = [];
    for (const name of manifest.Layers) {
      const layer = join(folder, name);
      const { stdout } = await run('tar', ['--numeric-owner', '-tvf', layer], { maxBuffer: 1 << 28 });
      for (const line of stdout.split('\n').filter((text) => text !== '')) {
        const [mode, owner, , , , ...path] = line.split(/\s+/);
        files.push({ mode, owner, path: path.join(' ').replace(/^\.?\/|\/$/g, '') });
      }
      await run('tar', ['-xf', layer, '-C', root, '--exclude=usr']);
    }
    const config = await readFile(join(folder, manifest.Config), 'utf8');
    return new ImageArchive(
      createHash('sha256').update(config).digest('hex'),
      (JSON.parse(config) as { config: ImageConfig }).config,
      files,
      root,
    );
  }

  /** The text of a file below /app, by its path without a leading slash. */
  read(path: string): Promise<string> {
    return readFile(join(this.root, path), 'utf8');
  }
}
