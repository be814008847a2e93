#define _POSIX_C_SOURCE 200809L

#include "simulated_fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- The configurations of lost devices, until one is opened again ---------------------------

// All devices share them, and threads may use different devices at the same time.
typedef struct Lost {
  struct Lost* next;
  char* text;
} Lost;
static pthread_mutex_t lost_mutex = PTHREAD_MUTEX_INITIALIZER;
static Lost* lost_devices;

// Takes the fault's text.
static void RememberLost(Fault* fault) {
  Lost* lost = malloc(sizeof *lost);
  if (lost == NULL) return;  // then the fault comes again
  lost->text = fault->text;
  fault->text = NULL;
  pthread_mutex_lock(&lost_mutex);
  lost->next = lost_devices;
  lost_devices = lost;
  pthread_mutex_unlock(&lost_mutex);
}

// Whether there was one of this configuration.
static bool ForgetLost(const char* text) {
  pthread_mutex_lock(&lost_mutex);
  Lost** place = &lost_devices;
  while (*place != NULL && strcmp((*place)->text, text) != 0) place = &(*place)->next;
  Lost* lost = *place;
  if (lost != NULL) *place = lost->next;
  pthread_mutex_unlock(&lost_mutex);
  if (lost == NULL) return false;
  free(lost->text);
  free(lost);
  return true;
}

// ---- Faults -----------------------------------------------------------------------------------

bool MakeFault(Fault* fault, const FaultConfig* config, const char* text) {
  fault->config = *config;
  fault->counted = 0;
  fault->text = malloc(strlen(text) + 1);
  if (fault->text == NULL) return false;
  strcpy(fault->text, text);
  const bool was_there = config->once[0] != '\0' && access(config->once, F_OK) == 0;
  if (was_there || (config->kind == kFaultLost && ForgetLost(text))) fault->config.kind = kNoFault;
  return true;
}

void EndFault(Fault* fault) { free(fault->text); }

FaultKind FaultAt(Fault* fault, Call call) {
  const FaultConfig* config = &fault->config;
  if (config->kind == kNoFault || (config->calls & 1u << call) == 0) return kNoFault;
  if (++fault->counted != config->number) return kNoFault;
  FILE* once = config->once[0] == '\0' ? NULL : fopen(config->once, "w");
  if (once != NULL) fclose(once);
  switch (config->kind) {
    case kFaultLost:
      RememberLost(fault);
      break;
    case kFaultCrash:
      raise(SIGSEGV);
      abort();  // where somebody handles that
    case kFaultHang:
      for (;;) pause();
    case kFaultExit:
      _exit(3);
    default:
      break;
  }
  return config->kind;
}
