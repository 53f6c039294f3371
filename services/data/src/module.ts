import { deadLettersModule, filesModule } from '@emotune/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { DatasetController } from './dataset.controller.js';
import { type DataContext, Datasets } from './datasets.js';
import { LexiconShelf } from './lexicons/shelf.js';

@Module({})
class DataServiceModule {}

/** The data service: sources and dataset versions, what users bring and fetch, and events that nobody could act on. */
export function dataModule(context: DataContext): DynamicModule {
  return {
    module: DataServiceModule,
    imports: [filesModule(context), deadLettersModule(context)],
    controllers: [DatasetController],
    providers: [
      { provide: Datasets, useValue: new Datasets(context) },
      { provide: LexiconShelf, useValue: new LexiconShelf(context) },
    ],
  };
}
