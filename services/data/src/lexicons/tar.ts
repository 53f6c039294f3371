/** Files of a tar archive (POSIX ustar), for the one source that is published as such. */
import { InvalidArgument } from '@emotune/base';

const block = 512;

function field(header: Buffer, from: number, length: number): string {
  const text = header.toString('latin1', from, from + length);
  const end = text.indexOf('\0');
  return (end < 0 ? text : text.slice(0, end)).trim();
}

/** Contents of the regular files by path. @throws InvalidArgument where a size is none or runs past the end */
export function filesOfTar(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; at + block <= archive.length; ) {
    const header = archive.subarray(at, at + block);
    const name = field(header, 0, 100);
    if (name === '') break;
    const size = Number.parseInt(field(header, 124, 12), 8);
    const content = at + block;
    if (!(size >= 0 && content + size <= archive.length))
      throw InvalidArgument.at(name, 'expected a whole tar archive, got one that is cut off or damaged');
    const type = field(header, 156, 1);
    if (type === '' || type === '0') files.set(name, archive.subarray(content, content + size));
    at = content + Math.ceil(size / block) * block;
  }
  return files;
}
