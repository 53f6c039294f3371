import { NotFound } from '@emotune/base';
import { common, inference } from '@emotune/proto';
import { requestsOf, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller } from '@nestjs/common';
import { cue } from './features.js';
import { note, unused } from './shared.js';

type Stream<T> = ReturnType<typeof streamOf<T>>;

const {
  TASK_SENTIMENT_CLASSIFICATION,
  TASK_SENTIMENT_REGRESSION,
  TASK_EMOTION_CLASSIFICATION,
  TASK_EMOTION_REGRESSION,
} = common.Task;

function answerTo({
  task,
  scale = { low: 0, high: 1 },
  emotion,
  language,
  raw,
}: inference.AnalyzeRequest): inference.Answer {
  const warnings = language === 'fi' ? ['the model saw no text in fi: it was trained on en'] : [];
  const trust = { calibrated: !raw, trained: true, skill: common.Skill.SKILL_BETTER, warnings };
  const classification = (labels: string[]) =>
    ({
      ...trust,
      task,
      confidence: 0.7,
      within: raw ? [] : ['fear', 'joy'],
      labels,
      distribution: [
        { answer: 'joy', probability: 0.75 },
        { answer: 'fear', probability: 0.25 },
      ],
      cut: labels.length > 1,
    }) as inference.Answer;
  if (task === TASK_SENTIMENT_CLASSIFICATION) return classification(['joy']);
  if (task === TASK_EMOTION_CLASSIFICATION) return classification(['fear', 'joy']);
  return {
    ...trust,
    within: [],
    task,
    emotion: task === TASK_EMOTION_REGRESSION ? emotion || 'joy' : '',
    scale,
    value: 0.5,
    low: 0.25,
    high: 0.75,
    labels: [],
    distribution: [
      { answer: '0.25', probability: 0.5 },
      { answer: '0.75', probability: 0.5 },
    ],
    cut: false,
  };
}

@Controller()
@inference.AnalysisServiceControllerMethods()
export class Analyses implements inference.AnalysisServiceController {
  analyzeStream(
    requests: Parameters<inference.AnalysisServiceController['analyzeStream']>[0],
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<inference.Analysis> {
    return streamOf(call!, async function* (signal) {
      for await (const request of requestsOf(requests, call!, signal)) {
        if (note('analyzeStream', request).model === 'missing')
          throw new NotFound('expected a model, got "missing"');
        const tasks = [
          TASK_SENTIMENT_CLASSIFICATION,
          TASK_SENTIMENT_REGRESSION,
          TASK_EMOTION_CLASSIFICATION,
          TASK_EMOTION_REGRESSION,
        ].filter((task) => request.task === common.Task.TASK_UNSPECIFIED || request.task === task);
        const answers = tasks.map((task) =>
          answerTo({ ...request, scale: request.scale ?? undefined, task }),
        );
        yield { text: request.text, model: 'first@aa11', answers, cues: [cue] };
      }
    });
  }
  analyze(): never {
    return unused();
  }
  analyzeBatch(): never {
    return unused();
  }
}
