import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { script } from './script.js';

/** Packs this Node.js and a program of one file as an image; resolves to its archive, in the folder. */
export async function nodeImage(folder: string, name: string, program: string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'emotune-image-'));
  try {
    const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
    const files = [
      process.execPath,
      ...[...libraries.matchAll(/(?:=> )?(\/\S+) \(/g)].map(([, path]) => path),
    ];
    for (const [i, file] of files.entries()) {
      const to = join(root, i === 0 ? '/node' : file);
      await mkdir(dirname(to), { recursive: true });
      await copyFile(file, to);
    }
    await mkdir(join(root, 'tmp'));
    await writeFile(join(root, 'main.mjs'), program);
    const archive = join(folder, 'image.tar');
    const config = JSON.stringify({
      Entrypoint: ['/node', '/main.mjs'],
      User: '65532:65532',
      WorkingDir: '/',
    });
    await script('cluster/cluster.sh', ['pack', root, name, archive, config]);
    return archive;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
